"""Synthesis: the deterministic parts give the published procedures' numbers, and fakes differ where they should."""

import numpy as np
import pytest

from benchmarks.seeded import golden
from training.synthesis import (
    MASKS,
    animated,
    as_h264,
    bend,
    blend,
    boundary,
    face_mask,
    face_warped,
    feathered,
    recorded,
    resized_mask,
    self_blended,
    soften,
    swapped,
    with_colour_of,
)

SHAPE = (256, 256)
FILLING = 0.004
"""Share of the canvas by which fillings of polygons may differ at their edges."""


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    return golden("sbi_bi")


def pattern(t: int) -> np.ndarray:
    y, x, c = np.ogrid[:256, :256, :3]
    k = ((2 + c) * x + (4 - c) * y + 60 * c + 7 * t) % 512
    return np.where(k > 255, 511 - k, k).astype(np.uint8)


@pytest.mark.parametrize("kind", MASKS)
def test_masks_are_the_published_ones(published, kind):
    expected = np.unpackbits(published[f"mask_{kind}"]).reshape(SHAPE)
    mask = face_mask(published["landmarks"], kind, SHAPE)
    assert (mask != expected).mean() < FILLING
    assert expected.mean() > 0.2


def test_masks_grow_and_shrink_as_published(published):
    mask = np.unpackbits(published["mask_dfl_full"]).reshape(SHAPE)
    for kernel, name in ((-5, "erode_5"), (-11, "erode_11"), (5, "dilate_5"), (11, "dilate_11")):
        assert resized_mask(mask, kernel).sum() == published[f"{name}_area"]


def test_softening_is_that_of_self_blended_images(published):
    mask = np.unpackbits(published["mask_dfl_full"]).reshape(SHAPE)
    soft = soften(mask, (220, 240), (11, 15), 20)
    np.testing.assert_allclose(soft[::4, ::4], published["sbi_blend_mask_s4"], atol=1e-3)
    assert soft.sum() == pytest.approx(float(published["sbi_blend_mask_sum"]), rel=1e-4)


def test_colours_weights_and_blend_are_those_of_face_x_ray(published):
    mask = np.unpackbits(published["mask_facehull"]).reshape(SHAPE)
    background, foreground = pattern(0), pattern(9)[:, ::-1]
    shifted = with_colour_of(foreground, background, mask)
    np.testing.assert_allclose(shifted[::8, ::8].astype(int), published["colour_transfer_s8"].astype(int), atol=1)
    weight = feathered(mask)
    np.testing.assert_allclose(weight[::4, ::4], published["bi_mask_s4"], atol=0.05)
    np.testing.assert_allclose(boundary(weight)[::4, ::4], published["bi_boundary_s4"], atol=0.12)
    mixed = blend(shifted, background, weight)
    assert np.abs(mixed[::8, ::8].astype(int) - published["bi_blend_s8"]).mean() < 1


def test_a_self_blended_face_is_its_partner_outside_the_mask_only(published):
    real, fake, weight = self_blended(pattern(3), published["landmarks"], np.random.default_rng(1))
    assert (weight == 0).any()
    assert (real[weight == 0] == fake[weight == 0]).all()
    assert (real[weight > 0.2] != fake[weight > 0.2]).any()
    again = self_blended(pattern(3), published["landmarks"], np.random.default_rng(1))[1]
    assert (again == fake).all()


def test_a_face_bent_onto_itself_stays_and_bent_elsewhere_moves(published):
    landmarks, image = published["landmarks"], pattern(0)
    still = bend(image, landmarks, landmarks, image.shape)
    assert np.abs(still[2:-2, 2:-2].astype(int) - image[2:-2, 2:-2]).max() <= 6
    x, y = np.rint(landmarks[30]).astype(int)
    spot = np.zeros_like(image)
    spot[y - 4 : y + 5, x - 4 : x + 5] = 255
    moved = bend(spot, landmarks, landmarks + np.array([10, 0]), image.shape)
    assert moved[y, x + 10, 0] > 200
    assert moved[y, x - 5, 0] < 50


def test_an_animated_still_moves_with_the_other_face_and_can_show_an_interior(published):
    landmarks, image = published["landmarks"], pattern(0)
    opened = landmarks.copy()
    opened[65:68, 1] += 16
    opened[55:60, 1] += 16
    motion = np.stack([landmarks, opened])
    plain, painted = (animated(image, landmarks, motion, mouth=mouth) for mouth in (False, True))
    assert (plain[0] != plain[1]).any()
    inside = face_mask(opened, "facehull", SHAPE) * 0
    inside[int(opened[62, 1]) + 3 : int(opened[66, 1]) - 3, int(opened[62, 0])] = 1
    assert (plain[1] != painted[1])[inside > 0].any()
    outside = face_mask(opened, "facehull", SHAPE) == 0
    assert (plain[1][outside] == painted[1][outside]).all()


def test_swaps_and_warps_change_the_face_and_not_its_surroundings(published):
    landmarks, rng = published["landmarks"], np.random.default_rng(0)
    for fake in (
        swapped(pattern(9), landmarks + np.array([8, 3]), pattern(0), landmarks, rng),
        face_warped(pattern(0), landmarks, rng),
    ):
        changed = (fake != pattern(0)).any(axis=-1)
        assert changed[face_mask(landmarks, "dfl_full", SHAPE) > 0].mean() > 0.2
        assert not changed[:12].any()


def test_genuine_and_fake_are_recorded_alike():
    frames = [pattern(t) for t in range(3)]
    once, twice = (recorded(frames, np.random.default_rng(5), 128) for _ in range(2))
    assert [frame.shape for frame in once] == [(128, 128, 3)] * 3
    assert all((a == b).all() for a, b in zip(once, twice, strict=True))
    assert len(as_h264(frames, 30)) == 3
