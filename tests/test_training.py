"""The bundled LRNet: sources stay together, a mirror keeps left and right, a killed run goes on, numbers hold."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import good

from core.settings import ROOT, Settings
from core.types import Quality, Track
from core.weights import load_manifest, locate
from detectors import choices, choose, open_detector
from detectors.networks.lrnet import LRNet as Network
from training import clips as extraction
from training import movement
from training.blocks import Blocks, chances, flip
from training.clips import FORMS, WORSE, Clip, Collection, extract, groups, keep, load
from training.lrnet import ID, NUMBERS, RECIPES, Recipe, draws, score, share_out, take_in_scale, train_stream
from training.measures import STRONG_FLOOR, auc, choose_bands, fit_platt, measure_within

pytestmark = pytest.mark.usefixtures("one_thread")


def clip(name="a", *, fake=False, origin="", identity="", pair="") -> Clip:
    return Clip(Path(name), fake, "genuine", identity, pair, origin, 100.0, sha256=name)


def track(landmarks: np.ndarray) -> Track:
    frames = len(landmarks)
    return Track(
        id=1,
        index=np.arange(frames),
        time_s=np.arange(frames) / 25,
        boxes=np.zeros((frames, 4), np.float32),
        landmarks=landmarks,
        seen=np.ones(frames, bool),
        crop=np.tile(np.float32([0, 0, 100]), (frames, 1)),
        calibrated=landmarks,
        starts=np.array([0]),
        quality=Quality(100.0, 0.0, 1.0, 25.0, 0.0, 0.0),
        thumbnail=np.zeros((1, 1, 3), np.uint8),
    )


def test_clips_that_share_an_origin_an_identity_or_a_pair_share_a_group():
    chained = [clip(origin="x"), clip(origin="x", identity="i"), clip(identity="i", pair="p"), clip(pair="p")]
    apart = [clip(origin="i"), clip(identity="x"), clip(pair="y")]
    assert groups([*chained, *apart]) == [0, 0, 0, 0, 1, 2, 3]


def test_no_group_is_ever_in_two_folds_and_folds_hold_both_classes_where_they_can():
    group = np.repeat(np.arange(12), [28, 11, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1])
    fake = group % 2 == 0
    fold = share_out(group, fake.astype(int))
    assert all(len(set(fold[group == g])) == 1 for g in group)
    assert all(set(fake[fold == k]) == {False, True} for k in range(5))


def test_a_mirrored_face_keeps_its_right_eye_on_the_left_of_the_picture():
    face = np.zeros((2, 68, 2), np.float32)
    face[:, 36:42] = -0.4, -0.2
    face[:, 42:48] = 0.3, -0.1
    mirrored = flip(face)
    np.testing.assert_allclose(mirrored[:, 36:42], np.broadcast_to([-0.3, -0.1], (2, 6, 2)), rtol=1e-6)
    np.testing.assert_allclose(mirrored[:, 42:48], np.broadcast_to([0.4, -0.2], (2, 6, 2)), rtol=1e-6)


def test_mirroring_twice_changes_nothing():
    face = np.random.default_rng(0).normal(size=(3, 68, 2)).astype(np.float32)
    np.testing.assert_array_equal(flip(flip(face)), face)


def test_a_killed_extraction_goes_on_where_it_was(tmp_path, monkeypatch):
    read = []

    def read_until_killed(clip, *_):
        if clip.sha256 == "b" and len(read) == 1:
            raise KeyboardInterrupt
        read.append(clip.sha256)
        return track(np.zeros((5, 68, 2), np.float32))

    monkeypatch.setattr(extraction, "_read", read_until_killed)
    listed = [clip(name) for name in "abc"]
    with pytest.raises(KeyboardInterrupt):
        extract(listed, ["original"], tmp_path, Settings())
    (tmp_path / "half.npz.partial").write_bytes(b"PK")
    read.append("resumed")
    assert extract(listed, ["original"], tmp_path, Settings()) == []
    assert read == ["a", "resumed", "b", "c"]


def test_what_cannot_be_read_is_listed_and_not_read_again(tmp_path, monkeypatch):
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"no video" * 100)
    listed = [clip(str(noise))]
    first = extract(listed, ["original"], tmp_path / "cache", Settings())
    monkeypatch.setattr(extraction, "_read", None)
    assert extract(listed, ["original"], tmp_path / "cache", Settings()) == first
    [(file, form, reason)] = first
    assert (file, form) == ("noise.mp4", "original")
    assert "not a video" in reason


def test_a_form_changes_rate_and_size_and_nothing_else(tmp_path):
    listed = [replace(clip(str(good(tmp_path / "good.mp4", 50))), face_width_px=120.0)]
    assert extract(listed, ["original", "small"], tmp_path, Settings()) == []
    original, small = (load(tmp_path, listed[0], form) for form in ("original", "small"))
    assert (len(original.time_s), len(small.time_s)) == (50, 40)
    assert small.quality.frame_rate_hz == pytest.approx(20, rel=0.01)
    width = [np.median(np.ptp(t.landmarks[:, :, 0], axis=1)) for t in (original, small)]
    assert width[1] / width[0] == pytest.approx(FORMS["small"].face_px / 120, rel=0.05)


def test_rates_are_brought_into_the_range_that_can_be_read():
    assert keep(60, thinned=False) == ((True, False), 30)
    assert keep(30, thinned=True)[1] == 24
    assert keep(24, thinned=True) == ((True,), 24)


def test_training_learns_to_tell_trembling_from_calm():
    rng = np.random.default_rng(0)
    face = rng.normal(0, 0.4, (68, 2))
    walks = [np.cumsum(rng.normal(0, 0.002, (90, 1, 2)), axis=0) for _ in range(8)]
    fake = np.arange(8) % 2 == 1
    tracks = [
        [track((face + walk + rng.normal(0, 0.03, (90, 68, 2)) * trembling).astype(np.float32))]
        for walk, trembling in zip(walks, fake, strict=True)
    ]
    torch.manual_seed(0)
    network = Network()
    losses = train_stream(network, Blocks(tracks, fake, np.arange(8)), Recipe("tiny", 1e-3, steps=45), differences=True)
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert not network.training


def test_the_movement_of_the_head_is_told_apart_from_that_of_the_face():
    rng = np.random.default_rng(0)
    face = rng.normal(0, 0.4, (1, 1, 68, 2)) + rng.normal(0, 0.01, (1, 30, 68, 2))
    passing = 1.5 * face + np.linspace(0, 1, 30)[None, :, None, None]
    steady, moving = movement.series(face), movement.series(passing)
    own = [*range(15), *range(19, 25)]
    np.testing.assert_allclose(moving[..., own], steady[..., own], atol=1e-4)
    assert moving[..., 15].mean() > steady[..., 15].mean() + 0.01


def test_the_scale_of_the_input_becomes_part_of_the_network():
    torch.manual_seed(0)
    network, x = Network().eval(), torch.randn(3, 30, 136) * 0.1 + 1
    centre, scale = x.mean(dim=(0, 1)), x.std(dim=(0, 1))
    before = network((x - centre) / scale)
    take_in_scale(network, centre, scale)
    torch.testing.assert_close(network(x), before, atol=1e-4, rtol=0)


def test_no_source_outweighs_its_root_and_both_classes_are_drawn_alike():
    still = [[track(np.full((60, 68, 2), i, np.float32))] for i in range(20)]
    fake, group = np.arange(20) >= 17, np.repeat([0, 1, 2], [16, 1, 3])
    x, label, _ = Blocks(still, fake, group).draw(np.random.default_rng(0), 4000)
    assert label.float().mean() == pytest.approx(0.5, abs=0.03)
    alone = (x[:, 0, 1].round() == 16).float().mean()
    assert alone == pytest.approx(0.5 * 1 / (1 + 4), abs=0.02)


def test_forms_of_the_sweep_are_scored_and_never_trained_on():
    forms = {"original": track(np.zeros((60, 68, 2), np.float32)), WORSE: track(np.ones((60, 68, 2), np.float32))}
    fake = np.array([False, True])
    collection = Collection([clip("a"), clip("b", fake=True)], fake, np.arange(2), np.ones(2, bool), [forms, forms])
    x, _, _ = draws(collection, RECIPES[0], np.arange(2)).draw(np.random.default_rng(0), 100)
    assert not x.any()
    scores = {form: np.full(2, np.nan) for form in forms}
    score(collection, lambda _, track: float(track.landmarks.mean()), np.arange(2), scores)
    assert scores[WORSE].tolist() == [1, 1]


def test_where_both_labels_of_a_source_are_drawn_alike_the_source_tells_nothing():
    fake, group = np.arange(20) % 5 == 0, np.repeat([0, 1, 2, 3], [10, 5, 3, 2])
    fake[group == 2], fake[group == 3] = True, False
    chance = chances(fake, group, usable=np.ones(20, bool), one_label=0.25)
    for source in (0, 1):
        assert chance[fake & (group == source)].sum() == pytest.approx(chance[~fake & (group == source)].sum())
    assert chance[group > 1].sum() == pytest.approx(0.25)
    assert chance[fake].sum() == pytest.approx(0.5)


def test_auc_counts_pairs_in_the_right_order():
    fake = np.array([False, False, True, True])
    assert auc(np.array([0.1, 0.2, 0.2, 0.9]), fake) == 3.5 / 4
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([True, True])))


def test_pairs_of_one_source_know_nothing_of_other_sources():
    scores, group = np.array([0.1, 0.2, 0.8, 0.7, 0.9]), np.array([0, 0, 1, 1, 2])
    fake = np.array([False, True, False, True, True])
    assert measure_within(scores, fake, group).value == 0.5


def test_calibration_finds_the_odds_and_never_reads_a_detector_backwards():
    logits = np.repeat([-1.0, 1.0], 400)
    fake = np.concatenate([np.arange(400) < 100, np.arange(400) < 300])
    fitted = fit_platt(logits, fake, np.arange(800))
    assert fitted.slope == pytest.approx(np.log(3), rel=0.02)
    assert fitted.intercept == pytest.approx(0, abs=0.01)
    backwards = fit_platt(-logits, fake, np.arange(800))
    assert (backwards.slope, backwards.intercept) == (0, 0)


def test_bands_keep_to_the_stated_shares():
    rng = np.random.default_rng(0)
    genuine, manipulated = rng.beta(2, 2, 53), rng.beta(4, 1, 74)
    bands = choose_bands(np.concatenate([genuine, manipulated]), np.repeat([False, True], [53, 74]))
    assert (genuine >= bands.strong_signs).mean() <= 0.01 < (genuine >= bands.strong_signs - 0.05).mean()
    assert (genuine >= bands.some_signs).mean() <= 0.2
    assert (manipulated < bands.no_signs).mean() <= 0.2
    assert bands.no_signs <= bands.some_signs <= bands.strong_signs


def test_what_no_clip_reaches_by_three_to_one_is_never_called_strong():
    unsure = np.linspace(0.4, 0.6, 100)
    assert choose_bands(unsure, unsure > 0.5).strong_signs == STRONG_FLOOR


def test_the_bundled_files_are_those_of_the_manifest_and_small():
    weights = load_manifest()[ID]
    paths = locate(weights, Settings())
    assert [path.stat().st_size for path in paths.values()] == [file.bytes for file in weights.files]
    assert sum(path.stat().st_size for path in paths.values()) < 1_000_000
    assert weights.calibration.slope >= 0


def test_the_bundled_set_scores_like_any_other():
    detector = open_detector(choose((ID,), choices(load_manifest(), Settings()))[0], Settings(), "cpu")
    landmarks = np.random.default_rng(0).normal(0, 0.3, (100, 68, 2)).astype(np.float32)
    scores = detector.score(track(landmarks))
    assert scores.weights == ID
    assert len(scores.fake) == 3


def test_the_default_bands_are_those_that_training_chose():
    bands = json.loads(NUMBERS.read_text())["bands"]
    defaults = Settings()
    assert bands == {name: getattr(defaults, name) for name in bands}


def test_the_card_names_what_was_measured():
    card = (ROOT / "detectors" / "bundled" / "lrnet.md").read_text(encoding="utf-8")
    for weights in load_manifest().values():
        if weights.detector == "lrnet" and weights.calibration:
            assert f"| {weights.id} | {weights.calibration.slope:.3f}" in card
