"""The self-test: green on a healthy tree, red with a reason on anything else, and it remembers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from analysis.selftest import EXPECTED, Check, Run, last_run, selftest
from benchmarks.seeded import seeded_state
from core.settings import Settings
from core.weights import Weights, load_manifest
from detectors import choices
from detectors.engines import device
from detectors.lrnet import LRNet
from preprocessing.landmarks import FaceMesh
from ui.detectors import detector_cards

BUNDLED = "lrnet/telltale"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data")})


def checks(run: Run) -> dict[str, Check]:
    return {check.name: check for check in run.checks}


def red(run: Run) -> list[str]:
    return [check.name for check in run.checks if not check.ok]


def only_bundled() -> dict[str, Weights]:
    return {BUNDLED: load_manifest()[BUNDLED]}


def with_brought(settings: Settings) -> Mapping[str, Weights]:
    """The bundled set, and one with seeded weights that an operator brought."""
    bundled = load_manifest()[BUNDLED]
    folder = settings.data / "weights" / "lrnet"
    folder.mkdir(parents=True)
    files = []
    for file in bundled.files:
        path = folder / f"brought_{file.role}.safetensors"
        save_file(seeded_state("lrnet"), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append(replace(file, name=path.name, sha256=digest, bytes=path.stat().st_size))
    brought = replace(bundled, id="lrnet/brought", source="manual", files=tuple(files), calibration=None)
    return {BUNDLED: bundled, brought.id: brought}


def test_a_healthy_tree_is_green_and_the_result_is_kept(settings: Settings) -> None:
    assert last_run(settings) is None
    run = selftest(load_manifest(), settings)
    assert run.ok, run.checks
    assert {"landmarks", "calibration", BUNDLED} <= checks(run).keys()
    assert "recorded now" not in checks(run)[BUNDLED].reason or run.device != "cpu"
    assert last_run(settings) == run


def test_another_score_is_red(settings: Settings, tmp_path: Path) -> None:
    stored = {key: [score + 0.002 for score in scores] for key, scores in json.loads(EXPECTED.read_text()).items()}
    expected = tmp_path / "expected.json"
    expected.write_text(json.dumps({key.replace(" cpu", f" {device()}"): s for key, s in stored.items()}))
    run = selftest(only_bundled(), settings, expected)
    assert red(run) == [BUNDLED]
    assert "0.002 from the stored scores; 0.001 is allowed" in checks(run)[BUNDLED].reason


def test_brought_weights_are_recorded_and_then_compared(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = with_brought(settings)
    first, second = (checks(selftest(manifest, settings))["lrnet/brought"] for _ in range(2))
    assert first.ok
    assert "recorded now" in first.reason
    assert second.ok
    assert "from the stored scores" in second.reason

    streams = LRNet.streams
    monkeypatch.setattr(LRNet, "streams", lambda self, x: tuple(np.add(s, 0.01) for s in streams(self, x)))
    for _ in range(2):  # a score that has moved is not what is remembered
        assert red(selftest(manifest, settings)) == [BUNDLED, "lrnet/brought"]


def test_weights_that_were_tampered_with_are_red(settings: Settings) -> None:
    manifest = with_brought(settings)
    path = settings.data / "weights" / "lrnet" / "brought_g1.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    run = selftest(manifest, settings)
    assert red(run) == ["lrnet/brought"]
    assert "expected SHA-256" in checks(run)["lrnet/brought"].reason


def test_a_broken_detector_is_red_and_the_others_are_still_tested(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: LRNet, x: np.ndarray) -> None:
        raise RuntimeError("unknown operator\nin a new release")

    monkeypatch.setattr(LRNet, "streams", broken)
    run = selftest(only_bundled(), settings)
    assert red(run) == [BUNDLED]
    assert checks(run)[BUNDLED].reason == "RuntimeError: unknown operator in a new release"


def test_other_landmarks_do_not_move_the_detectors(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    meshes = FaceMesh.meshes
    monkeypatch.setattr(FaceMesh, "meshes", lambda self, image: [mesh + 1 for mesh in meshes(self, image)])
    run = selftest(only_bundled(), settings)
    assert red(run) == ["landmarks"]
    assert "1 px" in checks(run)["landmarks"].reason


def test_the_page_shows_the_last_result_and_forgets_it_for_other_weights(settings: Settings) -> None:
    manifest = with_brought(settings)
    offered = choices(manifest, settings)
    assert detector_cards(offered, settings).count("entire not run yet") == 2
    selftest(manifest, settings)
    cards = detector_cards(offered, settings)
    assert "calibration ✓ green" in cards
    assert cards.count("entire ✓ green") == 2
    other = [replace(c, weights=replace(c.weights, files=c.weights.files[:1])) for c in offered]
    assert detector_cards(other, settings).count("entire not run yet") == 2


def test_a_result_that_cannot_be_read_is_none(settings: Settings) -> None:
    folder = settings.data / "selftest"
    folder.mkdir(parents=True)
    for text in ("", "[]", '{"checks": 3}'):
        (folder / "last.json").write_text(text)
        assert last_run(settings) is None
