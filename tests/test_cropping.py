"""Crops are taken where the profile says, however long a track becomes, and sequences do not run across a loss."""

import numpy as np
import pytest

from core.types import Face
from core.weights import load_manifest
from detectors import DETECTORS
from preprocessing.cropping import Cropping, Look
from preprocessing.profile import CropRule, pick

IMAGE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
SHAPE = np.random.default_rng(1).uniform(-40, 40, (68, 2))
SINGLE = CropRule(name="ffpp", size_px=64, margin=1.3)
FACES = CropRule(name="dsp_fwa", size_px=224, views=10)
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


@pytest.mark.parametrize("sampling", ["even", "farthest"])
@pytest.mark.parametrize("wanted", [8, 16])
@pytest.mark.parametrize("frames", [1, 7, 16, 31, 32, 33, 64, 241, 500, 1023, 1024])
def test_the_frames_that_are_looked_at_are_those_the_profile_says(sampling, wanted, frames):
    index, said = crops_of(Look(SINGLE, wanted, sampling), frames).index, pick(frames, wanted, sampling)
    assert len(index) == len(said) == min(frames, wanted)
    if frames < 2 * wanted:
        assert index.tolist() == said.tolist()
    assert np.abs(index - said).max() < max(1, 2 * frames / wanted), "off by less than two strides"


@pytest.mark.parametrize(("sampling", "frames"), [("even", 1 + 15 * 4), ("even", 1 + 30 * 4), ("farthest", 1 + 16 * 4)])
def test_a_track_of_a_fitting_length_is_looked_at_exactly_where_the_profile_says(sampling, frames):
    index = crops_of(Look(SINGLE, 16, sampling), frames).index
    assert index.tolist() == pick(frames, 16, sampling).tolist()


def test_each_checkpoint_is_shown_the_frames_its_profile_asks_for():
    asked = {w.id: DETECTORS[w.detector].looks(w, "fast") for w in load_manifest().values() if w.detector in DETECTORS}
    shown = {id: look for id, looks in asked.items() for look in looks}
    assert {id: look.sampling for id, look in shown.items() if look.sampling != "even"} == {"gend/clip-l14": "farthest"}
    assert {look.frames for look in shown.values() if look.run == 1} == {8, None}
    look = shown["gend/clip-l14"]
    assert crops_of(look, 15).index.tolist() == pick(15, 8, "farthest").tolist() != pick(15, 8, "even").tolist()


def test_a_frame_from_which_the_face_cannot_be_cut_is_made_up_for_by_the_next():
    cropping, speck = Cropping([Look(FACES, 8)]), face()
    speck = Face(speck.box * 0, (speck.landmarks - speck.landmarks[0]) * 1e-3)
    for position in range(40):
        cropping.see(position, IMAGE, face() if position % 2 else speck)
    index = cropping.finish()[Look(FACES, 8)].index[:: FACES.views]
    assert (index % 2).all()
    assert len(index) == 8


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
    cropping = Cropping([Look(FACES, 4)])
    tiny = face()
    cropping.see(0, IMAGE, Face(tiny.box * 0, (tiny.landmarks - tiny.landmarks[0]) * 1e-3))
    assert cropping.finish() == {}


def test_crops_lead_back_to_the_frame():
    crops = crops_of(Look(SINGLE, 4), 4)
    x, y = crops.to_frame[0] @ (32, 32, 1)
    assert (x, y) == pytest.approx((160, 120), abs=15)
