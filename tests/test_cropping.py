"""Crops are spread over a track whose length nobody knows, and sequences do not run across a loss."""

import numpy as np
import pytest

from core.types import Face
from preprocessing.cropping import Cropping, Look
from preprocessing.profile import CropRule

IMAGE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
SHAPE = np.random.default_rng(1).uniform(-40, 40, (68, 2))
SINGLE = CropRule(name="ffpp", size_px=64, margin=1.3)
MOUTH = CropRule(name="lipforensics", size_px=96)


def face(x=160.0, y=120.0):
    landmarks = (SHAPE + np.array([x, y])).astype(np.float32)
    return Face(np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)]), landmarks)


def crops_of(look, frames, lost=()):
    cropping = Cropping([look])
    for position in range(frames):
        if position in lost:
            cropping.lose()
        cropping.see(position, IMAGE, face())
    return cropping.finish()[look]


@pytest.mark.parametrize("frames", [1, 7, 16, 33, 500, 1023])
def test_so_many_frames_are_looked_at_and_they_are_spread_evenly(frames):
    index = crops_of(Look(SINGLE, 16), frames).index
    assert len(index) == min(frames, 16)
    assert index[0] == 0
    if frames > 16:
        steps = np.diff(index)
        assert steps.max() <= 2 * steps.min() + 1
        assert index[-1] >= frames - 1 - 2 * frames / 16


def test_never_more_than_twice_the_wanted_crops_are_held():
    cropping = Cropping([Look(SINGLE, 8)])
    for position in range(300):
        cropping.see(position, IMAGE, face())
        assert len(cropping._gatherings[0].kept) < 16


def test_looks_that_are_alike_are_cut_once():
    assert len(Cropping([Look(SINGLE, 8), Look(SINGLE.model_copy(), 8), Look(SINGLE, None)])._gatherings) == 2


def test_a_sequence_keeps_every_frame_in_order():
    crops = crops_of(Look(MOUTH, None), 30)
    np.testing.assert_array_equal(crops.index, np.arange(30))
    assert crops.images.shape == (30, 96, 96, 3)


def test_a_sequence_begins_anew_after_a_loss():
    whole, broken = crops_of(Look(MOUTH, None), 30), crops_of(Look(MOUTH, None), 30, lost=[15])
    np.testing.assert_array_equal(broken.index, whole.index)


def test_a_face_that_cannot_be_cut_leaves_no_crops():
    cropping = Cropping([Look(CropRule(name="dsp_fwa", size_px=224, views=10), 4)])
    tiny = face()
    cropping.see(0, IMAGE, Face(tiny.box * 0, (tiny.landmarks - tiny.landmarks[0]) * 1e-3))
    assert cropping.finish() == {}


def test_crops_lead_back_to_the_frame():
    crops = crops_of(Look(SINGLE, 4), 4)
    x, y = crops.to_frame[0] @ (32, 32, 1)
    assert (x, y) == pytest.approx((160, 120), abs=15)
