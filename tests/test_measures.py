"""Measures of evidence: known scores give known numbers, and what the collection gives away is not mistaken for it."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn import metrics

from training.measures import ALL, Labels, auc, delong, measure, measure_accuracy, measure_auc, measure_within, tabulate


def labels(fake, *, group=None, width_px=None, family=None, pair=None) -> Labels:
    fake = np.array(fake, bool)
    count = len(fake)
    return Labels(
        fake=fake,
        group=np.arange(count) if group is None else np.array(group),
        width_px=np.full(count, 100.0) if width_px is None else np.array(width_px, float),
        family=np.where(fake, "face_swap", "genuine") if family is None else np.array(family),
        pair=np.full(count, "") if pair is None else np.array(pair),
    )


def values(scores, of) -> dict[str, float]:
    return {name: found.value for name, found in measure(np.array(scores, float), of, resamples=2).items()}


TWINS = labels([0, 0, 1, 1], group=[0, 1, 0, 1], pair=["a", "b", "a", "b"])


@pytest.mark.parametrize(
    ("scores", "auc", "ap", "eer", "tpr", "pairs"),
    [
        ([0.1, 0.2, 0.8, 0.9], 1, 1, 0, 1, 1),
        ([0.8, 0.9, 0.1, 0.2], 0, (1 / 3 + 2 / 4) / 2, 1, 0, 0),
        ([0.5, 0.5, 0.5, 0.5], 0.5, 0.5, 0.5, 0, 0.5),
        ([0.1, 0.8, 0.2, 0.9], 0.75, (1 + 2 / 3) / 2, 0.5, 0.5, 1),
    ],
    ids=["perfect", "reversed", "tied", "one of four pairs wrong"],
)
def test_known_scores_give_known_numbers(scores, auc, ap, eer, tpr, pairs):
    found = values(scores, TWINS)
    assert found["auc"] == found["size_matched_auc"] == auc
    assert found["ap"] == pytest.approx(ap)
    assert found["eer"] == eer
    assert found["tpr_at_1"] == found["tpr_at_5"] == tpr
    assert found["pairs"] == pairs


def test_five_in_a_hundred_false_alarms_buy_more_than_one():
    genuine, manipulated = np.arange(100) / 100, [0.999, 0.945, 0.935, 0.5]
    found = values([*genuine, *manipulated], labels([0] * 100 + [1] * 4))
    assert (found["tpr_at_1"], found["tpr_at_5"]) == (0.25, 0.5)
    assert values([*genuine, 0.985], labels([0] * 100 + [1]))["tpr_at_1"] == 1


def test_measures_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    fake, group = rng.random(60) < 0.4, rng.integers(0, 7, 60)
    scores = (rng.normal(fake, 1, 60).round(1) + 4) / 10  # with ties
    found = values(scores, labels(fake, group=group))
    fpr, tpr, _ = metrics.roc_curve(fake, scores)
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(fake, scores))
    assert found["ap"] == pytest.approx(metrics.average_precision_score(fake, scores))
    assert found["eer"] == pytest.approx(np.interp(0, fpr + tpr - 1, fpr))
    assert found["tpr_at_5"] == tpr[fpr <= 0.05].max()


def test_a_draw_of_groups_is_measured_as_the_clips_it_repeats():
    rng = np.random.default_rng(2)
    fake, group, scores = rng.random(40) < 0.5, rng.integers(0, 5, 40), rng.random(40).round(1)
    found = measure(scores, labels(fake, group=group), resamples=1)["auc"]
    rows = np.concatenate([np.flatnonzero(group == g) for g in np.random.default_rng(0).integers(5, size=5)])
    assert found.low == found.high == pytest.approx(metrics.roc_auc_score(fake[rows], scores[rows]))


def test_sixty_percent_is_sixty_percent_and_certainty_that_errs_is_a_fault():
    of = labels(np.arange(100) < 50)
    calibrated = np.concatenate([np.repeat([0.6, 0.4], [30, 20]), np.repeat([0.6, 0.4], [20, 30])])
    assert values(calibrated, of)["ece"] == pytest.approx(0, abs=1e-12)
    assert values(np.where(calibrated > 0.5, 1.0, 0.0), of)["ece"] == pytest.approx(0.4)


def test_how_many_clips_of_a_class_were_found_does_not_change_what_a_score_is_worth():
    few, many = [0.6] * 6 + [0.4] * 4, ([0.6] * 4 + [0.4] * 6) * 10
    assert values([*few, *many], labels(np.arange(110) < 10))["ece"] == pytest.approx(0, abs=1e-12)


def test_matching_sizes_takes_away_what_only_size_told():
    rng = np.random.default_rng(0)
    third = np.repeat([0, 1, 2], 300)
    width = 100.0 * third + rng.uniform(0, 50, 900)
    fake = rng.random(900) < np.array([0.1, 0.5, 0.9])[third]
    by_size = values(width / 300, labels(fake, width_px=width))
    assert by_size["auc"] > 0.8
    assert by_size["size_matched_auc"] == pytest.approx(0.5, abs=0.06)
    by_both = values((fake + rng.normal(0, 0.3, 900) + 2) / 5, labels(fake, width_px=width))
    assert by_both["size_matched_auc"] == pytest.approx(by_both["auc"], abs=0.02)


def test_intervals_cover_the_truth_over_sources_where_clips_drawn_alone_do_not():
    def study(seed: int) -> tuple[bool, bool]:
        """Does the interval hold the true AUC of one half, drawn by source and by clip?"""
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(20), 8)
        fake = np.repeat(np.arange(20) % 2 == 1, 8)
        scores = 1 / (1 + np.exp(-(rng.normal(0, 1, 20)[group] + rng.normal(0, 0.3, 160))))
        intervals = [
            measure(scores, labels(fake, group=g), resamples=100)["auc"] for g in (group, np.arange(len(group)))
        ]
        grouped, alone = (i.low <= 0.5 <= i.high for i in intervals)
        return grouped, alone

    grouped, alone = np.mean([study(seed) for seed in range(30)], axis=0)
    assert grouped >= 0.8
    assert alone < 0.7


def test_a_clip_without_a_score_is_counted_and_never_a_half():
    fake = [0, 0, 1, 1]
    scores = np.array([0.1, math.nan, 0.9, math.nan])
    row = tabulate({"m": scores}, labels(fake), resamples=2)[0]
    assert (row.family, row.genuine, row.fake, row.unassessed) == (ALL, 1, 1, 0.5)
    assert row.measures["auc"].value == 1


def test_each_family_is_held_against_all_genuine_clips():
    of = labels([0, 0, 1, 1], family=["genuine", "genuine", "lip_sync", "face_swap"])
    rows = {row.family: row for row in tabulate({"m": np.array([0.2, 0.3, 0.1, 0.9])}, of, resamples=2)}
    assert list(rows) == [ALL, "face_swap", "lip_sync"]
    assert rows["face_swap"].measures["auc"].value == 1
    assert rows["lip_sync"].measures["auc"].value == 0
    assert (rows["lip_sync"].genuine, rows["lip_sync"].fake) == (2, 1)


def test_a_confound_is_turned_its_best_way_and_held_against_the_clips_a_detector_scored():
    of = labels([0, 0, 1, 1], width_px=[90, 80, 70, 85])
    detector = np.array([0.1, math.nan, 0.9, 0.8])
    told, alone, *_ = (r for r in tabulate({"m": detector}, of, {"width": of.width_px}, resamples=2) if r.family == ALL)
    assert (alone.name, alone.measures["auc"].value) == ("width", 0.75)
    assert math.isnan(alone.measures["ece"].value)
    assert told.confound == 1


def test_where_a_class_is_missing_there_is_no_number():
    found = measure(np.array([0.2, 0.4]), labels([1, 1]), resamples=2)
    assert all(math.isnan(estimate.value) for estimate in found.values())
    assert str(found["auc"]) == "-"
    assert all(math.isnan(e.value) for e in measure(np.full(2, math.nan), labels([0, 1]), resamples=2).values())


def test_one_source_alone_has_no_interval():
    found = measure_auc(np.array([0.1, 0.9]), np.array([False, True]), np.array([7, 7]))
    assert str(found) == "1.00"


def test_nothing_scored_is_no_number():
    nothing, none = np.full(2, math.nan), np.array([False, True])
    assert str(measure_auc(nothing, none, none)) == str(measure_within(nothing, none, none)) == "-"


def test_accuracy_counts_what_has_no_score_as_wrong():
    of = labels([0, 0, 1, 1])
    assert measure_accuracy(np.array([0.1, 0.6, 0.5, math.nan]), of).value == 0.5
    whole = measure_accuracy(np.array([0.1, 0.2, 0.5, 0.9]), of)
    assert (whole.value, whole.low, whole.high) == (1, 1, 1)


def test_measures_are_the_same_however_few_draws_are_taken_at_a_time(monkeypatch):
    rng = np.random.default_rng(3)
    of = labels(rng.random(40) < 0.5, group=rng.integers(0, 8, 40), width_px=rng.random(40))
    scores = rng.random(40)
    whole = measure(scores, of, resamples=50)
    monkeypatch.setattr("training.measures.AT_A_TIME", 100)
    for name, found in measure(scores, of, resamples=50).items():
        np.testing.assert_array_equal(
            (found.value, found.low, found.high), (whole[name].value, whole[name].low, whole[name].high)
        )


FAKE = np.array([0] * 8 + [1] * 7, bool)
FIRST = np.array([0.10, 0.35, 0.24, 0.50, 0.20, 0.62, 0.13, 0.45, 0.74, 0.58, 0.71, 0.25, 0.90, 0.45, 0.66])
SECOND = np.array([0.30, 0.42, 0.10, 0.55, 0.61, 0.62, 0.40, 0.72, 0.60, 0.33, 0.80, 0.45, 0.70, 0.42, 0.58])


def test_delong_is_that_of_another_implementation():
    """By `Delong_test` of MLstatkit 0.1.91, which turns the sign of z; there are ties within and across classes."""
    found = delong(FIRST, SECOND, FAKE)
    assert found.change.value == pytest.approx(0.8660714285714286 - 0.6160714285714286)
    assert found.sd**2 == pytest.approx(0.017280126336248786)
    assert found.p == pytest.approx(0.05719632757108928)
    back = delong(SECOND, FIRST, FAKE)
    assert (back.change.value, back.p) == (-found.change.value, found.p)


def test_delong_comes_near_exact_permutation():
    """Where both scores of a clip are ranks, they may be exchanged freely if they are equally good."""
    ranks = np.stack([rankdata(FIRST), rankdata(SECOND)])
    observed = abs(auc(ranks[0], FAKE) - auc(ranks[1], FAKE))
    exchanged = [np.where(np.array(turn), ranks[::-1], ranks) for turn in product([False, True], repeat=len(FAKE))][::7]
    share = np.mean([abs(auc(a, FAKE) - auc(b, FAKE)) >= observed - 1e-9 for a, b in exchanged])
    assert delong(*ranks, FAKE).p == pytest.approx(share, abs=0.03)


def test_delong_knows_no_difference_and_the_largest_and_needs_two_of_each_class():
    assert delong(FIRST, FIRST, FAKE).p == 1
    perfect = FAKE.astype(float)
    assert (delong(perfect, 1 - perfect, FAKE).p, delong(perfect, 1 - perfect, FAKE).change.value) == (0, 1)
    lacking = delong(np.where(FAKE, math.nan, FIRST), SECOND, FAKE)
    assert math.isnan(lacking.p)
    assert lacking.n == 8


def test_delong_accuses_equals_as_often_as_it_says():
    """Two equally good scores of correlated noise: p below 0.1 one time in ten."""
    rng = np.random.default_rng(0)
    fake = np.arange(60) < 30
    found = []
    for _ in range(400):
        common = rng.normal(fake, 1)
        found.append(delong(common + rng.normal(0, 1, 60), common + rng.normal(0, 1, 60), fake).p)
    assert 0.06 < np.mean(np.array(found) < 0.1) < 0.14
