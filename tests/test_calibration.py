"""Landmark calibration equals the published code's output, number by number."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from preprocessing import calibration
from preprocessing.calibration import Calibrated, Stretch, cut_patch, extent_px, merge

GOLDEN = np.load(Path(__file__).parent / "golden" / "lk_kalman.npz")
SYNTHETIC = np.repeat(GOLDEN["synth_frames_gray"][..., None], 3, axis=-1)


def run(stretch: Stretch, images: np.ndarray, landmarks: np.ndarray) -> list[Calibrated]:
    first = extent_px(landmarks[0])
    done = [
        c
        for image, points in zip(images, landmarks, strict=True)
        for c in stretch.push(cut_patch(image, points, first))
    ]
    return done + stretch.flush()


def column(done: list[Calibrated], name: str) -> np.ndarray:
    return np.stack([getattr(c, name) for c in done])


def test_synthetic_clip_equals_the_published_output_exactly():
    done = run(Stretch(), SYNTHETIC, GOLDEN["synth_raw"])
    np.testing.assert_array_equal(column(done, "crop")[:, :2], GOLDEN["synth_box"][:, :2])
    np.testing.assert_array_equal(column(done, "crop")[:, 2], GOLDEN["synth_crop_size"])
    np.testing.assert_array_equal(column(done, "detected"), GOLDEN["synth_loc400"])
    np.testing.assert_array_equal(column(done, "tracked"), GOLDEN["synth_tracked"])
    np.testing.assert_array_equal(column(done, "normalised").reshape(7, 136), GOLDEN["synth_calibrated"])


@pytest.mark.parametrize("prefix", ["", "synth_"])
def test_merge_equals_the_published_blend_given_the_same_tracking(prefix):
    detected, tracked = GOLDEN[f"{prefix}loc400"].astype(int), GOLDEN[f"{prefix}tracked"].astype(int)
    found = (GOLDEN[f"{prefix}status_fw"] == 1) & (GOLDEN[f"{prefix}status_fb"] == 1)
    variance = np.zeros(68)
    for t in range(len(found)):
        forward, back = GOLDEN[f"{prefix}forward"][t].astype(int), GOLDEN[f"{prefix}feedback"][t].astype(int)
        points, variance = merge(detected[t], detected[t + 1], tracked[t], forward, back, found[t], variance)
        np.testing.assert_array_equal(points, tracked[t + 1])
        np.testing.assert_allclose(variance, GOLDEN[f"{prefix}P"][t], atol=1e-12)


def test_a_jump_of_the_detection_is_mostly_ignored_while_the_picture_stands_still():
    before, jumped = np.full((68, 2), 200), np.full((68, 2), 205)
    trusted = np.ones(68, bool)
    tracked, _ = merge(before, jumped, before, before, before, trusted, np.zeros(68))
    assert (tracked == 200).all()
    tracked, _ = merge(before, jumped, before, before, before, ~trusted, np.zeros(68))
    assert (tracked == 205).all()


def test_only_the_lead_waits_and_is_then_worked_off_while_frames_come():
    stretch = Stretch(lead_frames=3)
    first = extent_px(GOLDEN["synth_raw"][0])
    ready = [len(stretch.push(cut_patch(i, p, first))) for i, p in zip(SYNTHETIC, GOLDEN["synth_raw"], strict=True)]
    assert ready == [0, 0, 1, 2, 1, 2, 1]
    assert stretch.flush() == []


def test_large_faces_wait_with_fewer_frames():
    image, landmarks = np.zeros((600, 600, 3), np.uint8), np.tile([[100.0, 100.0], [500.0, 500.0]], (34, 1))
    stretch = Stretch(lead_frames=90, lead_bytes=3 * image.nbytes)
    ready = [len(stretch.push(cut_patch(image, landmarks, 400.0))) for _ in range(5)]
    assert ready == [0, 0, 1, 2, 1]


@pytest.mark.parametrize("corner", [(0, 0), (0, 140), (170, 0), (170, 140), (85, 70)])
def test_a_patch_holds_whatever_its_crop_needs_even_at_the_edges(corner):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (150, 180, 3), np.uint8)
    landmarks = rng.uniform(0, 40, (68, 2)) + corner
    for first in (extent_px(landmarks) / calibration.SIZE_RANGE + 0.01, extent_px(landmarks)):
        whole = calibration.Patch(image, 0, 0, (180, 150), landmarks)
        cut, full = Stretch(), Stretch()
        assert cut.push(cut_patch(image, landmarks, first)) == full.push(whole) == []
        a, b = cut.flush()[0], full.flush()[0]
        np.testing.assert_array_equal(a.crop, b.crop)
        np.testing.assert_array_equal(cut._tracker._crop, full._tracker._crop)


@pytest.mark.shared
def test_real_clip_equals_the_published_output_exactly(shared):
    import av

    with av.open(str(shared / "clips" / str(GOLDEN["clip"]))) as container:
        images = [f.to_ndarray(format="rgb24") for _, f in zip(range(40), container.decode(video=0), strict=False)]
    decoded = [hashlib.sha256(image[..., ::-1].tobytes()).hexdigest() for image in images]
    assert decoded == GOLDEN["frame_sha256"].tolist(), "another decoder: its pixels cannot be compared"
    done = run(Stretch(), np.stack(images), GOLDEN["raw"])
    np.testing.assert_array_equal(column(done, "detected"), GOLDEN["loc400"])
    np.testing.assert_array_equal(column(done, "tracked"), GOLDEN["tracked"])
    np.testing.assert_array_equal(column(done, "normalised").reshape(40, 136), GOLDEN["calibrated"])
