"""Measures of evidence: known scores give known numbers, and what the collection gives away is not mistaken for it."""

import math

import numpy as np
import pytest
from sklearn import metrics

from training.measures import ALL, Labels, measure, measure_auc, measure_within, tabulate


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
