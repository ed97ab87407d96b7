"""From a finished training into the app: its record, the checks, the manifest entry, and the app using the result."""

import json
from pathlib import Path

import pytest
import torch

from core.errors import WeightsError
from training.clips import Clip
from training.manifest import put, read
from training.runs import RECORD, bonds_of, read_run, write_run


def clip(name: str, *, fake=False, identity="", pair="") -> Clip:
    return Clip(Path(name), fake, "genuine", identity, pair, "", 100.0, sha256=name)


FACTS = {"detector": "lrnet", "input": {"block": 30}, "steps": 5, "trained_on": "made-up clips"}


def test_a_run_comes_back_as_it_was_written(tmp_path):
    networks = {"g1": {"w": torch.ones(2)}, "g2": {"w": torch.zeros(2)}}
    run = write_run(tmp_path, networks, seen=("identity:i", "pair:p"), **FACTS)
    assert read_run(tmp_path) == run
    assert run.files["g2"].name == "g2.safetensors"
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_that_is_not_whole_is_refused_in_words(tmp_path):
    with pytest.raises(WeightsError, match=r"no run\.json"):
        read_run(tmp_path)
    write_run(tmp_path, {"g1": {"w": torch.ones(2)}}, seen=(), **FACTS)
    (tmp_path / "g1.safetensors").write_bytes(b"other")
    with pytest.raises(WeightsError, match="SHA-256"):
        read_run(tmp_path)
    (tmp_path / "g1.safetensors").unlink()
    with pytest.raises(WeightsError, match="not beside it"):
        read_run(tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps(record | {"steps": "many"}))
    with pytest.raises(WeightsError, match="steps"):
        read_run(tmp_path)
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_run(tmp_path)


def test_a_clip_is_known_by_content_identity_and_pair_and_never_by_an_empty_name():
    assert bonds_of(clip("a", identity="i")) == {"sha256:a", "identity:i"}


def test_entries_go_before_or_after_the_others_and_leave_them_as_they_are(tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"a/1": {"x": 1}, "b/1": {"x": 2}}))
    put({"b/1": {"x": 3}, "c/1": {"x": 4}}, manifest=manifest)
    assert [*read(manifest).items()] == [("b/1", {"x": 3}), ("c/1", {"x": 4}), ("a/1", {"x": 1})]
    put({"b/1": {"x": 5}}, first=False, manifest=manifest)
    assert [*read(manifest)] == ["c/1", "a/1", "b/1"]
