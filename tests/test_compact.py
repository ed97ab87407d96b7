"""The compact detector: cues whose answer is known, the model they go into, and how it is made."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.special import logit

from benchmarks.seeded import golden
from core.settings import Settings
from core.types import Face, Quality, Track
from core.weights import load_manifest, locate
from detectors import choices, choose, open_detector
from detectors.compact import Model, read_model
from detectors.cues import CANVAS, CONDITIONS, RUN, cues_of, measure, runs
from preprocessing.cropping import Cropping, Look
from preprocessing.regions import REGIONS, region_masks
from training.clips import Clip
from training.compact import CARD, MODEL, Recipe, balance, fit, less_reference
from training.cues import Collection

LOOK = Look(CANVAS, 4, run=RUN)
STEP_PX = 2.0


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """Landmarks of an upright face, (68, 2) px, of about 150 px in width."""
    return golden("lipforensics_crop")["landmarks"][0].astype(np.float64)


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """Detail of all sizes, float32 (360, 640, 3)."""
    rng = np.random.default_rng(0)
    layers = [cv2.GaussianBlur(rng.normal(0, 40 * s, (360, 640, 3)).astype(np.float32), (0, 0), s) for s in (1, 2, 4)]
    return 128 + sum(layers)


def film(face, picture) -> Track:
    """A track of a face that moves right; `picture(k, landmarks)` gives frame k, float (H, W, 3)."""
    landmarks = np.stack([face + np.array([k * STEP_PX, 0]) for k in range(2 * RUN)]).astype(np.float32)
    boxes = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    cropping = Cropping([LOOK])
    for k, points in enumerate(landmarks):
        cropping.see(k, np.clip(picture(k, points), 0, 255).astype(np.uint8), Face(boxes[k], points))
    frames = len(landmarks)
    return Track(
        id=1,
        index=np.arange(frames),
        time_s=np.arange(frames) / 25,
        boxes=boxes,
        landmarks=landmarks,
        seen=np.ones(frames, bool),
        crop=np.tile(np.float32([0, 0, 640]), (frames, 1)),
        calibrated=landmarks / 320 - 1,
        starts=np.array([0]),
        quality=Quality(100.0, 0.0, 1.0, 25.0, 0.0, 0.0),
        thumbnail=np.zeros((4, 4, 3), np.uint8),
        crops=cropping.finish(),
    )


def cue(track, region, name) -> float:
    crops = track.crops[LOOK]
    values = [measure(track, crops, run)[0][region] for run in runs(track, crops)]
    return float(np.mean(values, axis=0)[[c.name for c in cues_of(region)].index(name)])


def shifted(image, pixels):
    return cv2.warpAffine(
        image, np.array([[1, 0, pixels], [0, 1, 0.0]]), image.shape[1::-1], borderMode=cv2.BORDER_WRAP
    )


def inside(points, image):
    """The entire face, bool (H, W, 1)."""
    return region_masks(points, np.eye(2, 3), max(image.shape))["entire"][: image.shape[0], : image.shape[1], None]


def test_a_face_smoother_than_its_surroundings_is_told_by_its_detail(face, texture):
    plain = film(face, lambda k, points: texture)
    smooth = cv2.GaussianBlur(texture, (0, 0), 1.5)
    made = film(face, lambda k, points: np.where(inside(points, texture), smooth, texture))
    for region in ("entire", "eyes", "nose", "mouth", "rest"):
        fine = "fine detail against the surroundings"
        assert cue(made, region, fine) < cue(plain, region, fine) - 0.5


def test_detail_sticks_to_the_face_or_to_the_picture(face, texture):
    name = "fine sticking against the picture"
    moves = film(face, lambda k, points: shifted(texture, k * STEP_PX))
    stays = film(face, lambda k, points: texture)
    for region in ("eyes", "nose", "mouth", "rest"):
        assert cue(moves, region, name) > 0.5
        assert cue(stays, region, name) < -0.5


def test_a_face_made_anew_for_every_frame_does_not_last(face, texture):
    def taken(k, points):
        return np.where(inside(points, texture), shifted(texture, k * STEP_PX), texture)

    def made(k, points):
        fresh = np.random.default_rng(k).normal(0, 30, texture.shape)
        return np.where(inside(points, texture), taken(k, points) + fresh, texture)

    once, anew = film(face, taken), film(face, made)
    for name in ("fine continuity against the surroundings", "fine persistence against the surroundings"):
        assert cue(anew, "entire", name) < cue(once, "entire", name) - 0.3


def test_cues_do_not_know_how_large_a_face_is(face, texture):
    large = cv2.resize(texture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    once, twice = film(face, lambda k, p: texture), film(face * 2, lambda k, p: large)
    for name in ("fine detail against the surroundings", "coarse detail against the rest of the face"):
        assert cue(twice, "nose", name) == pytest.approx(cue(once, "nose", name), abs=0.15)


def test_runs_are_of_consecutive_frames_and_spread_over_the_track(face):
    cropping = Cropping([LOOK])
    image, box = np.zeros((360, 480, 3), np.uint8), np.float32([0, 0, 200, 200])
    for k in range(200):
        cropping.see(k, image, Face(box, face.astype(np.float32)))
    index = cropping.finish()[LOOK].index.reshape(-1, RUN)
    assert len(index) == LOOK.frames
    assert (np.diff(index, axis=1) == 1).all()
    assert index[0, 0] == 0
    assert index[-1, 0] > 120


def test_no_run_crosses_a_break_or_holds_a_lost_face(face, texture):
    track = film(face, lambda k, points: texture)
    assert len(runs(track, track.crops[LOOK])) == 2
    assert len(runs(replace(track, starts=np.array([0, 3])), track.crops[LOOK])) == 1
    seen = track.seen.copy()
    seen[RUN + 1] = False
    assert [run.tolist() for run in runs(replace(track, seen=seen), track.crops[LOOK])] == [list(range(RUN))]


def collection(fake, group, cues) -> Collection:
    """Clips of two runs each, whose every cue in every region is the number given."""
    n = len(fake)
    clips = [
        Clip(None, bool(f), "face_swap", "", f"{g}.{i // 2}", str(g), 100.0, "")
        for i, (f, g) in enumerate(zip(fake, group, strict=True))
    ]
    return Collection(
        clips=clips,
        fake=np.array(fake, bool),
        group=np.array(group),
        measured=np.ones(n, bool),
        width_px=np.linspace(80, 200, n),
        rate_hz=np.full(n, 25.0),
        cues={r: [np.full((2, len(cues_of(r))), c) for c in cues] for r in REGIONS},
        conditions=[np.zeros((2, 8)) for _ in range(n)],
        failures=[],
    )


def test_learned_weights_find_the_direction_and_signed_ones_never_go_against_theirs():
    rng = np.random.default_rng(0)
    fake, group = np.arange(80) % 2 == 1, np.arange(80) // 8
    table = collection(fake, group, np.where(fake, 1.0, 0.0) + rng.normal(0, 0.3, 80))
    everything = np.ones(80, bool)
    learned = fit(table, "nose", Recipe("", "learned"), everything)
    assert (learned.weight > 0).all()
    signed = fit(table, "nose", Recipe("", "signed"), everything)
    named = {c.name: w for c, w in zip(cues_of("nose"), signed.weight, strict=True)}
    assert named["flicker against the surroundings"] > 0
    assert named["fine sticking against the picture"] == 0
    assert named["flicker against the rest of the face"] == 0


def test_what_cues_owe_to_the_conditions_is_taken_off():
    rng = np.random.default_rng(0)
    fake, group = np.arange(80) % 2 == 1, np.arange(80) // 8
    conditions = rng.normal(0, 1, 80)
    table = collection(fake, group, 2 * conditions + rng.normal(0, 0.1, 80))
    table = replace(table, conditions=[np.full((2, 8), c) for c in conditions])
    model = fit(table, "eyes", Recipe("", "alike", CONDITIONS), np.ones(80, bool))
    level = np.array([model.level(c, s)[0] for c, s in zip(table.cues["eyes"], table.conditions, strict=True)])
    assert level.std(axis=0).max() < 0.3


def test_no_source_outweighs_its_root_and_those_with_both_labels_count_twice():
    weight = balance(np.array([True] * 4 + [True, False] + [False]), np.array([0] * 4 + [1, 1] + [2]))
    assert weight.sum() == pytest.approx(7)
    assert weight[:5].sum() == pytest.approx(weight[5:].sum())
    assert weight[:4].sum() / weight[4] == pytest.approx(1)
    assert weight[5] / weight[6] == pytest.approx(2)


def test_a_reference_takes_off_what_a_source_scores_by_itself_but_never_a_twin():
    fake = np.array([False, True] * 20)
    group = np.arange(40) // 4
    habit = np.repeat(np.linspace(-2, 2, 10), 4)
    table = collection(fake, group, np.zeros(40))
    less = less_reference(table, habit + 0.6 * fake)
    assert np.isfinite(less).all()
    assert np.ptp(less[~fake]) == pytest.approx(np.ptp(habit) * 2 / 3)
    alone = collection(fake[:2], group[:2], np.zeros(2))
    assert np.isnan(less_reference(alone, habit[:2] + fake[:2])).all()


def test_a_cue_that_cannot_be_measured_says_nothing_and_none_says_more_than_it_may():
    ones = np.ones(2)
    model = Model(-ones, ones, 0.5 * ones, np.zeros(8), np.zeros((8, 2)), ones, 0.25, np.stack([0 * ones, ones]))
    cues = np.array([[np.nan, 0.5], [100.0, -100.0]])
    np.testing.assert_allclose(model.log_odds(cues, np.zeros((2, 8))), [0.25, 0.25 + 0.5 - 1.5])


def test_the_bundled_file_is_that_of_the_manifest_and_small():
    entries = {region: load_manifest()[f"compact/telltale/{region}"] for region in REGIONS}
    for region, weights in entries.items():
        paths = locate(weights, Settings())
        assert paths["model"].stat().st_size == weights.files[0].bytes < 1_000_000
        assert weights.region == region
        assert weights.calibration.slope >= 0
    assert sum(file.stat().st_size for file in CARD.parent.iterdir()) <= 5_000_000, "all that is bundled"


def test_every_region_is_scored_from_cues_that_add_up_to_the_score(face, texture):
    track = film(face, lambda k, points: shifted(texture, k * STEP_PX))
    chosen = choose(("compact",), choices(load_manifest(), Settings()), referenced=True)
    assert [choice.weights.region for choice in chosen] == list(REGIONS)
    for choice in chosen:
        detector = open_detector(choice, Settings(), "cpu")
        scores = detector.score(track)
        brought = sum(ground.log_odds for ground in detector.grounds(track))
        bias = read_model(MODEL, choice.weights.region).bias
        assert logit(scores.overall) == pytest.approx(brought + bias, abs=1e-6)
        assert all("genuine faces" in ground for ground in scores.grounds)
        assert len(scores.grounds) == 3


def test_a_file_of_other_cues_is_refused(tmp_path):
    save_file({"eyes.weight": torch.zeros(3), "eyes.bias": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other cues"):
        read_model(tmp_path / "other.safetensors", "eyes")


def test_the_card_names_what_was_measured():
    card = CARD.read_text(encoding="utf-8")
    for region in REGIONS:
        weights = load_manifest()[f"compact/telltale/{region}"]
        assert f"| {weights.id} | {weights.calibration.slope:.3f}" in card
