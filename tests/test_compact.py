"""The compact detector: cues whose answer is known, the model they go into, and how it is made."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from analysis.calibration import sigmoid
from core.types import Face, Quality, Track
from detectors.compact import Model
from detectors.cues import CANVAS, RUN, cues_of, measure, runs
from preprocessing.cropping import Cropping, Look
from preprocessing.regions import REGIONS, region_masks
from tests.seeded import golden
from training.clips import Clip
from training.compact import Recipe, against_reference, balance, fit
from training.cues import Collection

LOOK = Look(CANVAS, 4, RUN)
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
    learned = fit(table, "nose", Recipe("", conditioned=False, weights="learned"), everything)
    assert (learned.weight > 0).all()
    signed = fit(table, "nose", Recipe("", conditioned=False, weights="signed"), everything)
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
    model = fit(table, "eyes", Recipe("", conditioned=True, weights="alike"), np.ones(80, bool))
    level = np.array([model.level(c, s)[0] for c, s in zip(table.cues["eyes"], table.conditions, strict=True)])
    assert level.std(axis=0).max() < 0.3


def test_no_source_outweighs_its_root_and_those_with_both_labels_count_twice():
    weight = balance(np.array([True] * 4 + [True, False] + [False]), np.array([0] * 4 + [1, 1] + [2]))
    assert weight.sum() == pytest.approx(7)
    assert weight[:5].sum() == pytest.approx(weight[5:].sum())
    assert weight[:4].sum() / weight[4] == pytest.approx(1)
    assert weight[5] / weight[6] == pytest.approx(2)


def test_a_reference_takes_off_what_a_source_scores_by_itself():
    fake = np.array([False, True] * 20)
    group = np.arange(40) // 4
    habit = np.repeat(np.linspace(-2, 2, 10), 4)
    table = collection(fake, group, np.zeros(40))
    raw = dict.fromkeys(REGIONS, habit + 0.6 * fake)
    referenced = against_reference(table, raw)
    assert np.isfinite(referenced).all()
    spread = [np.ptp(values[~fake]) for values in (referenced, np.array([sigmoid(v) for v in raw["nose"]]))]
    assert spread[0] < 0.6 * spread[1]


def test_a_cue_that_cannot_be_measured_says_nothing_and_none_says_more_than_it_may():
    ones = np.ones(2)
    model = Model(-ones, ones, 0.5 * ones, np.zeros(8), np.zeros((8, 2)), ones, 0.25, np.stack([0 * ones, ones]))
    cues = np.array([[np.nan, 0.5], [100.0, -100.0]])
    np.testing.assert_allclose(model.log_odds(cues, np.zeros((2, 8))), [0.25, 0.25 + 0.5 - 1.5])
