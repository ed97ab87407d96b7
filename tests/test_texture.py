"""The candidate that looks at pixels: what it is shown, and that no source is judged by what was fitted to it."""

import numpy as np
import pytest
import torch

from benchmarks.seeded import golden, seeded_input, seeded_state
from detectors.cues import CANVAS
from detectors.networks.texture import WIDTH, Texture, Trunk, folded
from detectors.texture import PLACES, SIZE_PX, picture
from preprocessing.regions import REGIONS
from training.clips import WORSE
from training.measures import Labels, auc
from training.out_of_fold import ORIGINAL
from training.texture import (
    RECIPES,
    VIEWS,
    Judged,
    Pictures,
    Portrait,
    Rows,
    cross_validate,
    features,
    stacked,
    synthesise,
    train_trunk,
    write_card,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def landmarks() -> np.ndarray:
    """Of an upright face in the middle of the canvas, (68, 2) px."""
    points = golden("lipforensics_crop")["landmarks"][0].astype(np.float64)
    return (points - points.mean(axis=0)) * 110 / np.ptp(points[:, 0]) + CANVAS.size_px / 2


def portrait(landmarks: np.ndarray, seed: int) -> Portrait:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    return Portrait(small.repeat(4, axis=0).repeat(4, axis=1), landmarks + rng.normal(0, 1, (68, 2)))


def test_every_pixel_is_of_one_place(landmarks):
    image, places = picture(portrait(landmarks, 0).image, landmarks)
    assert image.shape == (SIZE_PX, SIZE_PX, 3)
    assert set(np.unique(places)) == set(range(len(PLACES) + 1))
    x, y = (landmarks[48:60].mean(axis=0) / 2).astype(int)
    assert places[y, x] == PLACES.index("mouth") + 1
    assert places[2, 2] == PLACES.index("surroundings") + 1
    beyond = portrait(landmarks, 0).image
    beyond[:40] = 0
    assert (picture(beyond, landmarks)[1][:18] == 0).all()


def test_a_genuine_picture_and_its_fake_differ_in_the_face(landmarks):
    faces = [portrait(landmarks, i) for i in range(5)]
    motion = landmarks[None] + np.random.default_rng(0).normal(0, 3, (4, 68, 2))
    made = synthesise([*enumerate(faces)], faces, [motion], np.random.default_rng(0))
    assert made.of.tolist() == [i for i in range(5) for _ in range(2)]
    apart = np.abs(made.images[::2].astype(int) - made.images[1::2]).mean(axis=-1)
    for places, difference in zip(made.places[::2], apart, strict=True):
        inside = (places > 0) & (places < len(PLACES))
        assert difference[inside].mean() > 1.5 * difference[places == len(PLACES)].mean()


def test_a_trunk_learns_to_tell_smooth_pictures(landmarks):
    rng = np.random.default_rng(0)
    places = picture(portrait(landmarks, 0).image, landmarks)[1]
    rough = rng.integers(0, 256, (8, SIZE_PX, SIZE_PX, 3)).astype(np.uint8)
    images = np.stack([rough, rough // 4 + 96], axis=1).reshape(-1, SIZE_PX, SIZE_PX, 3)
    made = Pictures(images, places[None].repeat(16, axis=0), np.arange(16) // 2)
    torch.manual_seed(0)
    trunk = Trunk()
    train_trunk(trunk, made, 3)
    assert not trunk.training
    found = features(trunk, made)
    assert found.shape == (16, len(REGIONS), len(VIEWS), WIDTH)
    assert np.isfinite(found).all()
    fake = np.arange(16) % 2 == 1
    assert max(abs(auc(column, fake) - 0.5) for column in found[:, 0, 0].T) == 0.5


def test_folding_changes_no_answer():
    state = seeded_state("texture")
    networks = [Texture().eval(), Texture().eval()]
    for network in networks:
        network.load_state_dict(state)
    images = seeded_input("images", (3, 3, SIZE_PX, SIZE_PX))
    places = (seeded_input("places", (3, SIZE_PX, SIZE_PX), 0, len(PLACES) + 1)).long()
    with torch.inference_mode():
        plain, fast = networks[0](images, places), folded(networks[1])(images, places)
    assert plain.std() > 0.01
    torch.testing.assert_close(fast, plain, atol=1e-4, rtol=1e-4)


def test_what_only_the_source_tells_is_worth_nothing(landmarks):
    """Every source has a mark of its own, and one label: that can be learnt by heart, and must not help."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 4)
    fake = group % 2 == 1
    found = np.zeros((80, len(REGIONS), len(VIEWS), WIDTH), np.float32)
    found[np.arange(80), :, :, group] = 1
    sign = found.copy()
    sign[:, 2, VIEWS.index("alone"), 50] = 3 * fake + rng.normal(size=80)
    recipe = next(r for r in RECIPES if (r.view, r.rows) == ("alone", "clips"))
    made = Rows(found[:2], np.array([False, True]), np.array([20, 20]), np.ones(2))
    for features_, expected in ((found, 0.0), (sign, 0.9)):
        clips = Rows(features_, fake, group, np.ones(80))
        (raw,) = cross_validate(recipe, [features_], clips, made, group % 5)
        assert auc(raw[:, 0], fake) < 0.6
        assert auc(raw[:, 2], fake) >= expected


def test_a_stack_hears_who_knows_and_bears_who_is_silent():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 6)
    fake = np.arange(120) % 2 == 1
    knows, idle = fake + rng.normal(0, 0.5, 120), rng.normal(size=120)
    knows[:10] = np.nan
    given = stacked({"knows": knows, "idle": idle}, fake, group)
    assert np.isfinite(given).all()
    assert auc(given[10:], fake[10:]) > 0.85
    idle[:3] = np.nan
    assert np.isnan(stacked({"knows": knows, "idle": idle}, fake, group)[:3]).all()


def test_the_report_takes_the_best_and_stacks_it_with_others():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 4)
    fake = np.arange(48) % 2 == 1
    labels = Labels(
        fake, group, rng.uniform(80, 200, 48), np.where(fake, "face_swap", "genuine"), (np.arange(48) // 2).astype(str)
    )
    good, idle = (fake[:, None] * strength + rng.normal(0, 1, (48, len(REGIONS))) for strength in (2, 0))
    judged = {
        recipe: Judged({ORIGINAL: raw, WORSE: raw * 0.5}, 1 / (1 + np.exp(-raw.mean(axis=1))))
        for recipe, raw in zip(RECIPES, (idle, good), strict=False)
    }
    text = write_card(
        judged, labels, {"frame rate alone": rng.normal(size=48)}, {"other": fake + rng.normal(0, 1, 48)}, 2.0
    )
    for name in (
        f"{RECIPES[1].name} **(chosen)**",
        RECIPES[0].name,
        "texture/telltale + other",
        "frame rate alone",
        *REGIONS,
    ):
        assert f"| {name} |" in text
    assert "| 0.00 (0.00 to 0.00) |" in text  # halving all log-odds changes no order
