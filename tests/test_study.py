"""What the study adds: a loss for the worst group, and stacks that cannot lean on what was learnt by heart."""

from itertools import combinations

import numpy as np
import pytest

from preprocessing.regions import REGIONS
from training.blocks import chances
from training.cards import survival
from training.compact import fuse_out_of_source
from training.lrnet import FOLDS
from training.measures import Labels, auc
from training.study import alone, nested, table
from training.texture import Recipe, Rows, fit
from training.worst_groups import WorstGroups

FOLD = np.repeat(np.arange(20) % FOLDS, 6)
LABELS = Labels(
    fake=np.arange(120) % 2 == 1,
    group=np.repeat(np.arange(20), 6),
    width_px=np.linspace(80, 200, 120),
    family=np.where(np.arange(120) % 2 == 1, "face_swap", "genuine"),
    pair=(np.arange(120) // 2).astype(str),
)


def test_a_group_that_fares_worse_comes_to_count_more_and_an_absent_one_stays():
    worst = WorstGroups(3, 1.0)
    group = np.array([0, 0, 1])
    for _ in range(3):
        weight = worst.weigh(np.array([1.0, 1.0, 2.0]), group)
    assert weight.sum() == pytest.approx(1)
    assert weight[2] / weight[:2].sum() == pytest.approx(np.exp(3))
    assert worst.weigh(np.array([0.0, 0.0, 0.0]), np.array([0, 1, 2]))[2] < weight[2]


def test_with_no_power_every_source_is_drawn_alike():
    fake, group = np.ones(6, bool), np.array([0, 0, 0, 0, 1, 2])
    fake[4:] = [False, True]
    chance = chances(fake, group, np.ones(6, bool), None, power=0.0)
    assert chance[:4].sum() == pytest.approx(chance[5])


def test_the_loss_of_the_worst_group_minds_a_few_sources_that_the_mean_forgets():
    """Most sources are told by one feature, and in a few it points the wrong way, where another tells."""
    rng = np.random.default_rng(0)
    group, fake = np.repeat(np.arange(40), 10), np.arange(400) % 2 == 1
    odd = group >= 36
    side = np.where(fake, 1.0, -1.0)
    x = rng.normal(0, 0.5, (400, len(REGIONS), 2, 160)).astype(np.float32)
    x[:, 0, 0, 0] += np.where(odd, -side, side)
    x[:, 0, 0, 1] += np.where(odd, 2 * side, 0)
    rows = Rows(x, fake, group, np.ones(400))

    def told(loss: str) -> float:
        weight, bias = fit(rows, 0, 0, loss)
        return float((((x[:, 0, 0] @ weight + bias) > 0) == fake)[odd].mean())

    assert told("worst") > told("groups") - 1e-9
    assert told("worst") > told("weighed") + 0.1
    assert Recipe(0, "alone", "clips").loss == "weighed"


def left_out(says):
    """What a method says without any one or two folds; `says` takes the clips that it has not seen, bool (n,)."""
    some = [frozenset(c) for count in (1, 2) for c in combinations(range(FOLDS), count)]
    return {folds: says(np.isin(FOLD, [*folds])) for folds in some}


def test_a_stack_hears_who_knows_and_not_who_learnt_by_heart():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 120))
    knows = left_out(lambda unseen: LABELS.fake + noise[0])
    by_heart = left_out(lambda unseen: np.where(unseen, noise[1], 10 * LABELS.fake))
    assert auc(alone(by_heart, FOLD), LABELS.fake) < 0.65
    both = nested([knows, by_heart], LABELS, FOLD)
    assert auc(both, LABELS.fake) > auc(alone(knows, FOLD), LABELS.fake) - 0.05
    silent = {folds: np.where(FOLD == 0, np.nan, said) for folds, said in knows.items()}
    assert np.isnan(nested([silent], LABELS, FOLD)[FOLD == 0]).all()


def test_re_encoded_clips_are_calibrated_by_the_others_as_they_are():
    rng = np.random.default_rng(0)
    raw = LABELS.fake + rng.normal(0, 0.5, 120)
    plain = fuse_out_of_source({"r": raw}, LABELS.fake, LABELS.group)
    again = fuse_out_of_source({"r": raw}, LABELS.fake, LABELS.group, {"r": np.where(FOLD == 0, np.nan, raw)})
    assert np.isnan(again[FOLD == 0]).all()
    np.testing.assert_allclose(again[FOLD != 0], plain[FOLD != 0])


def test_the_tables_hold_a_recipe_against_the_first_and_give_the_spread_of_seeds():
    rng = np.random.default_rng(0)
    good = [np.stack([LABELS.fake + rng.normal(0, s, 120), np.full(120, np.nan)])[..., None] for s in (0.3, 2.0)]
    idle = [rng.normal(size=(2, 120, 1))]
    first, second = table({"idle": idle, "good": good}, LABELS).splitlines()[2:]
    assert first.startswith("| idle | 120 |")
    assert first.endswith("|  |")
    assert " to 0.9" in second.split("|")[3] or " to 1.0" in second.split("|")[3]
    gained = float(second.split("|")[-2].split()[0])
    assert gained > 0.2
    lost = good[0][0, :, 0], idle[0][0, :, 0]
    row = next(line for line in survival({"x": lost}, LABELS).splitlines() if "face swap" in line)
    assert row.split("|")[-2].strip().startswith("-0.")
