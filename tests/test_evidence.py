"""The evidence benchmark: the app's own answers become tables, failures are counted, weights that knew are named."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import good, no_face, text

from benchmarks.evidence import answers as asking
from benchmarks.evidence.__main__ import main
from benchmarks.evidence.answers import Answer, Heard, plan, references
from benchmarks.evidence.scores import FUSED, put_in, scores_of, standing
from benchmarks.evidence.table import gather
from core.settings import Settings
from core.types import Label
from training import seen as memory
from training.clips import Clip
from training.measures import ALL
from training.out_of_fold import ORIGINAL, read_out_of_fold, write_out_of_fold
from training.resumed import code

WEIGHTS = "lrnet/telltale"
FORM = "half size, crf 30"


def clip(name, *, fake=False, origin="o", identity="", pair="") -> Clip:
    return Clip(Path(name), fake, "face_swap" if fake else "genuine", identity, pair, origin, 100.0, sha256=name)


def answer(fake, other=None) -> Answer:
    heard = (Heard("lrnet", WEIGHTS, "entire", fake), Heard("compact", "compact/telltale/eyes", "eyes", other))
    return Answer(Label.INCONCLUSIVE, fake, "", heard, 25.0, 0.1)


@pytest.fixture(scope="module")
def listing(tmp_path_factory) -> Path:
    """Two genuine clips, a twin that passes for manipulated, one without a face, and a file that is no video."""
    folder = tmp_path_factory.mktemp("listing")
    rows = [
        (good(folder / "a.mp4", 100), "real", "-", "one", "p"),
        (good(folder / "b.mp4", 101), "real", "-", "two", ""),
        (good(folder / "c.mp4", 102), "fake", "lip_sync", "one", "p"),
        (no_face(folder / "d.mp4"), "fake", "face_swap", "three", ""),
        (text(folder / "e.mp4"), "fake", "face_swap", "four", ""),
    ]
    listing = folder / "clips.csv"
    with listing.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label", "family", "identity", "pair", "origin_repo", "face_width_px", "sha256"])
        for i, (path, label, family, identity, pair) in enumerate(rows):
            writer.writerow([path.name, label, family, identity, pair, f"origin {i < 3 or i}", 110 + i, path.stem * 64])
    return listing


@pytest.fixture(scope="module")
def results(listing, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    assert main(["--clips", str(listing), "--detectors", WEIGHTS, "--sweep", FORM, "--out", str(folder)]) == 0
    return folder


def test_a_whole_run_stores_tables_and_figures_and_counts_every_clip(results):
    found = json.loads((results / "evidence.json").read_text())
    assert found["clips"] == {"genuine": 2, "manipulated": 3}
    assert {line["form"] for line in found["lines"]} >= {ORIGINAL, FORM, asking.REFERENCED}
    whole = {line["scores"]: line for line in found["lines"] if (line["form"], line["family"]) == (ORIGINAL, ALL)}
    mine = whole[f"{WEIGHTS}, entire"]
    assert (mine["genuine"], mine["manipulated"], mine["unassessed"]) == (2, 1, pytest.approx(2 / 5))
    assert whole[FUSED]["auc"] == mine["auc"]
    assert {"face width alone", "bytes per pixel alone", "frame rate alone"} < set(whole)
    assert whole["face width alone"]["unassessed"] == 0
    assert whole["bytes per pixel alone"]["unassessed"] == pytest.approx(1 / 5)
    assert sum(sum(counts.values()) for counts in found["verdicts"].values()) == 5
    reasons = {entry["reason"]: entry["count"] for entry in found["unassessed"]}
    assert sum(reasons.values()) == 2
    assert any("not a video" in reason for reason in reasons)
    assert any("No face" in reason for reason in reasons)
    tables = (results / "evidence.md").read_text()
    assert all(reason in tables for reason in reasons)
    assert "Plotly" in (results / "evidence.html").read_text()
    rows = list(csv.DictReader((results / "evidence.csv").open()))
    assert len(rows) == len(found["lines"])


def test_a_second_run_analyses_nothing_again(listing, results, monkeypatch):
    before = (results / "evidence.csv").read_text()
    monkeypatch.setattr(asking, "analyze", None)
    assert main(["--clips", str(listing), "--detectors", WEIGHTS, "--sweep", FORM, "--out", str(results)]) == 0
    assert (results / "evidence.csv").read_text() == before


def test_a_twin_gets_another_genuine_clip_as_reference_and_never_itself():
    listed = [
        clip("fake", fake=True, pair="p"),
        clip("twin", identity="i", pair="p"),
        clip("same source"),
        clip("same person", identity="i"),
        clip("alone", pair="q", origin="other"),
        clip("twinless", fake=True, pair="r"),
    ]
    assert references(listed) == {0: 1, 1: 3}
    assert [t.form for t in plan(listed)] == [ORIGINAL] * 6 + [asking.REFERENCED] * 2


def test_out_of_fold_scores_take_the_place_of_the_apps_and_are_fused_like_them(tmp_path):
    given, listed = tmp_path / "scores.csv", [clip("a"), clip("b")]
    write_out_of_fold(given, listed, {(WEIGHTS, ORIGINAL): np.array([0.2, np.nan])})
    scores = read_out_of_fold(given)
    first, second = put_in(scores, [answer(0.9), answer(0.9)], listed, ORIGINAL, Settings())
    assert first.fake == pytest.approx(0.2)
    assert (second.fake, second.label) == (None, Label.NOT_ASSESSED)
    assert put_in(scores, [answer(0.9)], listed[:1], FORM, Settings()) == [answer(0.9)]
    both = put_in(scores, [answer(0.9, other=0.2)], listed[:1], ORIGINAL, Settings())
    assert scores_of(both)[FUSED][0] < 0.2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("weights,sha256\nw,a\n", "lacks the columns fake"),
        ("weights,sha256,fake\nw,a,1.5\n", "'1.5'"),
        ("weights,sha256,fake\nw,a,high\n", "'high'"),
        ("weights,sha256,fake,form\nw,a,0.2,crf 99\n", "crf 99"),
    ],
)
def test_out_of_fold_scores_that_make_no_sense_are_refused(content, complaint, listing, tmp_path, capsys):
    given = tmp_path / "scores.csv"
    given.write_text(content)
    assert main(["--clips", str(listing), "--out-of-fold", str(given), "--out", str(tmp_path)]) == 1
    assert complaint in capsys.readouterr().err


def test_what_partly_known_weights_say_of_unseen_clips_is_a_line_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "SEEN", tmp_path / "seen.json")
    listed = [clip("a"), clip("b"), clip("c", fake=True), clip("d", fake=True)]
    for weights in (WEIGHTS, "compact/telltale/eyes"):
        memory.remember(weights, listed[2:3])
    said = [answer(p, p) for p in (0.1, 0.8, 0.9, 0.2)]
    found = {(line.row.name, line.standing): line.row for line in gather(listed, {ORIGINAL: said}, [], {}).lines}
    assert found[FUSED, "seen 1 of 4"].fake == 2
    unseen = found[f"{FUSED}: unseen clips", "unseen"]
    assert (unseen.genuine, unseen.fake, unseen.measures["auc"].value) == (2, 1, 0.5)


def test_weights_that_knew_a_clip_are_marked_and_so_is_a_verdict_that_rests_on_them(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "SEEN", tmp_path / "seen.json")
    listed = [clip("aaaaaaaa1"), clip("bbbbbbbb2")]
    said = [answer(0.5, 0.5)] * 2
    mine, other = (h.name for h in said[0].heard)

    def marks(given):
        return [standing(name, said, listed, ORIGINAL, given) for name in (mine, other, FUSED)]

    memory.remember(WEIGHTS, listed[:1])
    assert marks({}) == ["seen 1 of 2", "not known", "not known"]
    memory.remember("compact/telltale/eyes", [])
    assert marks({}) == ["seen 1 of 2", "unseen", "seen 1 of 2"]
    assert marks({(WEIGHTS, ORIGINAL): {}}) == ["out of fold", "unseen", "out of fold"]
    assert standing("face width alone", said, listed, ORIGINAL, {}) == ""


def test_the_list_of_a_clip_that_is_absent_is_refused(listing, tmp_path, capsys):
    broken = listing.with_name("broken.csv")
    broken.write_text(listing.read_text().replace("a.mp4", "gone.mp4"))
    assert main(["--clips", str(broken), "--out", str(tmp_path)]) == 1
    assert "1 of 5 clips" in capsys.readouterr().err


def test_the_answer_of_a_changed_file_or_of_changed_code_is_another_one(tmp_path, monkeypatch):
    one = replace(clip("a"), path=good(tmp_path / "a.mp4", 3))
    two = replace(one, path=good(tmp_path / "b.mp4", 4))
    options = asking.Options((WEIGHTS,))
    tasks = [asking.Task(one), asking.Task(two), asking.Task(one, "crf 20"), asking.Task(one, reference=two)]
    assert len({asking._key(task, options, Settings()) for task in tasks}) == 4
    before = asking._key(tasks[0], options, Settings())
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "fusion.py").write_text("changed = True")
    monkeypatch.setattr("training.resumed.ROOT", tmp_path)
    code.cache_clear()
    assert asking._key(tasks[0], options, Settings()) != before
    monkeypatch.undo()
    code.cache_clear()
