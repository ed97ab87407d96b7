"""Weights are evaluated through the app's own detectors: every clip counts, memory is no skill."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import good, no_face, text

from core.errors import InputError, NotNow
from core.settings import Settings
from core.weights import load_manifest
from detectors import choices
from training import prepare
from training.evaluate import scores as asking
from training.evaluate.__main__ import main
from training.evaluate.card import card, table, tables
from training.evaluate.data import Subject, read_subjects
from training.evaluate.results import compare, evaluate, in_kind, label, unit_of
from training.evaluate.scores import Answers, Said, ask
from training.layouts.sample import Sample
from training.out_of_fold import ORIGINAL
from training.prepared import write_about, write_index

WEIGHTS, OTHER = "lrnet/telltale", "texture/telltale/entire"
MANIFEST = load_manifest()


@pytest.fixture(scope="module")
def listing(tmp_path_factory) -> Path:
    """Two genuine clips, a twin that passes for manipulated, one without a face, one that is no video, one absent."""
    folder = tmp_path_factory.mktemp("listing")
    rows = [
        (good(folder / "a.mp4", 100), "real", "one", "p"),
        (good(folder / "b.mp4", 101), "real", "two", ""),
        (good(folder / "c.mp4", 102), "fake", "one", "p"),
        (no_face(folder / "d.mp4"), "fake", "three", ""),
        (text(folder / "e.mp4"), "fake", "four", ""),
        (folder / "gone.mp4", "real", "five", ""),
    ]
    listing = folder / "clips.csv"
    with listing.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label", "method", "identity", "pair"])
        writer.writerows([path.name, kind, "face swap", identity, pair] for path, kind, identity, pair in rows)
    return listing


@pytest.fixture(scope="module")
def results(listing, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    assert main([WEIGHTS, str(listing), "--against", OTHER, "--sweep", "scale 0.5", "--out", str(folder)]) == 0
    return folder


def test_a_whole_run_counts_every_clip_at_every_level(results):
    found = json.loads((results / "evaluation.json").read_text())
    lrnet, texture = found["weights"]
    assert [(level["level"], level["genuine"], level["manipulated"]) for level in lrnet["levels"]] == [
        ("video", 2, 1),
        ("block", 6, 3),
    ]
    assert [level["level"] for level in texture["levels"]] == ["video", "frame"]
    reasons = {(row["manipulated"], row["reason"]) for row in lrnet["unscored"]}
    assert reasons == {
        (True, "No face was found"),
        (True, next(reason for fake, reason in reasons if "video" in reason)),
        (False, "The file is missing"),
    }
    scored, whole = lrnet["levels"][0]["accuracy"]["value"], lrnet["accuracy_of_all_clips"]["value"]
    assert whole == pytest.approx(scored / 2), "three of six have no score, and count as wrong"
    (row,) = lrnet["robustness"]
    assert (row["form"], row["unscored"]) == ("scale 0.5", pytest.approx(0.5))
    assert [clip["id"] for clip in found["clips"]] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4", "gone.mp4"]
    assert found["clips"][3]["scores"] == {WEIGHTS: None, OTHER: None}
    assert found["comparisons"][0]["clips"] == 3


def test_the_card_names_licence_data_limits_and_what_training_had(results):
    card = (results / "card.md").read_text()
    assert f"# `{WEIGHTS}`" in card
    assert "**Licence:** MIT" in card
    assert "3 genuine and 3 manipulated clips of 5 sources" in card
    assert f"None of the 6 clips is noted as training material of `{WEIGHTS}`" in card
    assert "too few clips of each label in common" in card
    page = (results / "evaluation.html").read_text()
    assert "ROC of whole videos" in page
    assert "<script src=" not in page


def test_a_killed_run_goes_on_and_asks_nothing_twice(listing, results, monkeypatch, tmp_path):
    first = (results / "evaluation.json").read_text()
    monkeypatch.setattr(asking, "_answer", None)
    assert main([WEIGHTS, str(listing), "--against", OTHER, "--sweep", "scale 0.5", "--out", str(results)]) == 0
    assert (results / "evaluation.json").read_text() == first


def test_a_reading_that_was_stopped_is_asked_again(listing, monkeypatch, tmp_path):
    reading = asking.read_tracks

    def stopped(*_, **__):
        raise NotNow("The reading had to be stopped.")

    (subject,) = read_subjects(str(listing), None)[:1]
    (chosen,) = [c for c in choices(MANIFEST, Settings()) if c.weights.id == WEIGHTS]
    monkeypatch.setattr(asking, "read_tracks", stopped)
    first = ask([subject], [ORIGINAL], [chosen], tmp_path, Settings())[ORIGINAL]
    assert "stopped" in first.said[WEIGHTS][0].reason
    monkeypatch.setattr(asking, "read_tracks", reading)
    assert np.isfinite(ask([subject], [ORIGINAL], [chosen], tmp_path, Settings())[ORIGINAL].overall(WEIGHTS)).all()


def test_a_cache_is_scored_as_the_clips_it_was_made_from(listing, tmp_path):
    clips = [replace(s.sample, split="test") for s in read_subjects(str(listing), None)][:3]
    order = prepare.Order(tmp_path / "cache", ("landmarks", "canvas", "cues"), 16, "facemesh", Settings())
    write_about(order.cache, {"frames_per_video": 16})
    write_index(order.cache, [(sample, prepare.make(sample, order).made) for sample in clips])
    subjects = read_subjects(str(order.cache), None)
    compact = "compact/telltale/eyes"
    offered = {c.weights.id: c for c in choices(MANIFEST, Settings())}
    found, seen = (
        ask(of, [ORIGINAL], [offered[id] for id in (WEIGHTS, OTHER, compact)], tmp_path / name, Settings())[ORIGINAL]
        for name, of in (("cache_answers", subjects), ("clip_answers", [*map(Subject, clips)]))
    )
    for id in (WEIGHTS, OTHER, compact):
        assert np.isfinite(seen.overall(id)).all()
        assert found.overall(id) == pytest.approx(seen.overall(id), abs=1e-6)
    less = replace(subjects[0].prepared, made=replace(subjects[0].prepared.made, kinds=("landmarks",)))
    poorer = replace(subjects[0], prepared=less)
    assert poorer.content != subjects[0].content, "asked anew once there is more to see"
    found = ask([poorer], [ORIGINAL], [offered[compact]], tmp_path / "poorer", Settings())[ORIGINAL]
    assert "evaluate from the clips" in found.said[compact][0].reason


def test_what_is_no_data_is_refused_in_words(tmp_path, listing, capsys):
    with pytest.raises(InputError, match="neither a list nor a cache"):
        read_subjects("nothing.csv", None)
    with pytest.raises(InputError, match="no split 'val'"):
        read_subjects(str(listing), None, "val")
    assert main(["lrnet/unheard", str(listing), "--out", str(tmp_path)]) == 1
    assert "lrnet/unheard" in capsys.readouterr().err


def sample(name, fake, **more) -> Sample:
    return Sample(name, Path(name), int(fake), "", "swap" if fake else "genuine", **more)


def made_up(count=40):
    """Clips of ten sources; the first scores tell them apart, the second do not."""
    rng = np.random.default_rng(0)
    fake = np.arange(count) % 2 == 1
    subjects = [Subject(sample(f"{i}", fake[i], identity=f"{i // 4}")) for i in range(count)]
    good = np.clip(0.3 + 0.4 * fake + rng.normal(0, 0.15, count), 0.01, 0.99)
    poor = rng.random(count)
    said = {
        id: [Said((float(v), float(v)), float(v)) for v in values] for id, values in ((WEIGHTS, good), (OTHER, poor))
    }
    return subjects, {ORIGINAL: Answers(said, np.full(count, 100.0))}


def test_ranks_are_of_raw_scores_and_right_and_wrong_of_what_the_app_shows():
    subjects, answers = made_up()
    labels = label(subjects, answers[ORIGINAL].face_px)
    known = np.zeros(len(subjects), bool)
    first, second = (evaluate(MANIFEST[id], answers, labels, known) for id in (WEIGHTS, OTHER))
    video, block = first.levels
    assert (video.genuine, block.genuine) == (20, 40)
    assert video.measures["auc"].value == pytest.approx(block.measures["auc"].value)
    moved = replace(MANIFEST[WEIGHTS], calibration=replace(MANIFEST[WEIGHTS].calibration, slope=1.0, intercept=-9.0))
    biased = evaluate(moved, answers, labels, known)
    assert biased.levels[0].measures["auc"] == video.measures["auc"]
    assert biased.levels[0].measures["accuracy"].value == 0.5, "everything is called genuine"
    assert biased.levels[0].measures["ece"].value > video.measures["ece"].value
    found = compare(first, second)
    assert found.delong.p < 0.01
    assert found.delong.change.value == pytest.approx(found.over_sources.value)
    assert found.over_sources.low > 0
    assert "p = " in tables([first, second], [found])


def test_weights_that_knew_the_clips_are_not_praised():
    subjects, answers = made_up()
    labels = label(subjects, answers[ORIGINAL].face_px)
    made_by = {"command": "c", "app_version": "v"}
    known = np.arange(len(subjects)) < 3
    partly = evaluate(MANIFEST[WEIGHTS], answers, labels, known)
    assert [(level.name, level.genuine + level.fake) for level in partly.levels] == [
        ("video", 40),
        ("video, unseen", 37),
        ("block", 80),
    ]
    assert "knew 3 of the 40 clips" in card([partly], [], made_by)
    wholly = card([evaluate(MANIFEST[WEIGHTS], answers, labels, known | True)], [], made_by)
    assert "none of its numbers is a measure" in wholly
    assert "not noted here" in card([evaluate(MANIFEST[WEIGHTS], answers, labels, None)], [], made_by)


def test_every_set_of_weights_reads_frames_or_blocks():
    units = {weights.detector: unit_of(weights) for weights in MANIFEST.values() if weights.input}
    assert {name for name, unit in units.items() if unit == "block"} == {"lrnet", "lipforensics", "compact"}


def test_reasons_are_counted_by_kind_and_tables_line_up():
    assert in_kind("20 to 35 frames are needed, the clip has 10.0; upload it.") == in_kind(
        "20 to 35 frames are needed, the clip has 12.5; upload it."
    )
    assert table(["a", "b"], [["long", "x"]]).split("\n") == ["| a    | b |", "| ---- | - |", "| long | x |"]
