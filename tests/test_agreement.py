"""Statistics over decisions, against numbers that are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.agreement import (
    Pick,
    Rate,
    agreement,
    between_reviewers,
    change,
    confusion,
    kappa,
    months,
    pick,
    with_methods,
)
from analysis.second_look import second_look
from core.errors import InputError
from core.reviewing import Bands, Case, Decision
from core.settings import Settings
from core.types import Label, Verdict
from tests.test_storage import FINDING, REPORT

YES, NO, UNSURE = Decision.MANIPULATED, Decision.NOT_MANIPULATED, Decision.CANNOT_TELL
BANDS = Bands(0.4, 0.6, 0.8)


def case(decision: Decision, fake: float | None, *, month: int = 1, **more) -> Case:
    label = Label.NOT_ASSESSED if fake is None else Label.SOME_SIGNS
    return Case(f"{decision}-{fake}", f"2026-{month:02}-03T00:00:00", label, fake, (("anna", decision),), **more)


def decided(innocent: int, manipulated: int) -> list[Case]:
    """Scores spread evenly: 0 to 0.5 of what is not manipulated, 0.3 to 0.9 of what is."""
    low = [case(NO, fake) for fake in np.linspace(0, 0.5, innocent)]
    return low + [case(YES, fake) for fake in np.linspace(0.3, 0.9, manipulated)]


def test_kappa_is_that_of_worked_examples():
    # Of 50 proposals both readers accept 20 and refuse 15: observed 0.7, by chance 0.5.
    assert kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)
    # In percent: 70 observed, 41 by chance.
    assert kappa(np.array([[44, 7, 9], [5, 20, 5], [1, 3, 6]])) == pytest.approx(0.29 / 0.59)
    assert kappa(np.diag([3, 4, 5])) == 1
    assert math.isnan(kappa(np.array([[7, 0], [0, 0]])))


def test_agreement_has_an_interval_round_it_and_none_where_pairs_are_few_or_all_alike():
    found = agreement([(YES, YES)] * 40 + [(NO, NO)] * 30 + [(YES, NO)] * 10 + [(NO, YES)] * 20)
    assert (found.n, found.share) == (100, pytest.approx(0.7))
    assert found.kappa == pytest.approx(0.4)
    low, high = found.interval
    # The large-sample standard error of this kappa is 0.090.
    assert (low, high) == (pytest.approx(0.4 - 1.96 * 0.09, abs=0.03), pytest.approx(0.4 + 1.96 * 0.09, abs=0.03))
    assert agreement([(YES, NO)] * 5).kappa is None
    assert agreement([(YES, YES)] * 100).kappa is None
    assert agreement([]).n == 0


@pytest.mark.parametrize(
    ("hits", "n", "interval"),
    [(0, 50, (0, 0.0711)), (5, 50, (0.0333, 0.2181)), (50, 50, (0.9289, 1)), (1, 2, (0.0126, 0.9874))],
)
def test_the_interval_of_a_rate_is_that_of_clopper_and_pearson(hits, n, interval):
    assert Rate(hits, n).interval == pytest.approx(interval, abs=5e-5)


def test_reviewers_are_compared_on_what_they_said_first_and_blind_if_they_did():
    both = replace(case(NO, 0.5), rulings=(("bert", YES), ("anna", NO), ("bert", NO)))
    blind = replace(both, blind=(("bert", NO),))
    everyone, by_names = between_reviewers([both, blind, case(YES, 0.9)])
    assert (everyone.n, everyone.share) == (2, 0.5)
    assert list(by_names) == [("anna", "bert")]


def test_agreement_with_the_methods_leaves_out_what_either_side_could_not_tell():
    cases = [*decided(100, 100), case(UNSURE, 0.9), case(YES, None), case(Decision.OUT_OF_SCOPE, 0.1)]
    found = with_methods(cases, 0.6)
    assert found.n == 200
    assert found.share == pytest.approx((100 + 50) / 200)
    assert found.kappa == pytest.approx(0.5)
    blind = [replace(c, blind=(("anna", NO),)) for c in cases]
    assert with_methods(blind, 0.6, blind=True).share == pytest.approx((202 - 50) / 202, abs=0.01)
    assert confusion(cases)[Label.SOME_SIGNS][YES] == 100
    assert confusion(cases)[Label.NOT_ASSESSED] == {YES: 1, NO: 0, UNSURE: 0, Decision.OUT_OF_SCOPE: 0}


def test_a_threshold_flags_no_more_than_the_chosen_share_of_what_is_not_manipulated():
    found = pick(decided(101, 200), 0.1)
    # Of 101 clips 10 may be flagged: those above 0.45, the eleventh from the top.
    assert found.threshold == pytest.approx(0.451)
    assert (found.false_alarms.hits, found.false_alarms.n) == (10, 101)
    assert found.found == Rate(149, 200)
    assert found.interval[0] < found.threshold < found.interval[1]
    lax, strict = (pick(decided(101, 200), rate).threshold for rate in (0.3, 0.05))
    assert lax < found.threshold < strict


def test_a_threshold_excludes_the_clip_whose_score_it_is_derived_from():
    cases = [case(NO, 0.5)] * 100 + [case(YES, 0.9)] * 20
    assert pick(cases, 0.05).threshold > 0.5
    assert pick(cases, 0.05).false_alarms.hits == 0


@pytest.mark.parametrize(
    ("cases", "rate", "sentence"),
    [
        (decided(49, 100), 0.1, "needs 50 scored clips .* there are 49 and 100"),
        (decided(299, 100), 0.01, "needs 300 .* there are 299"),
        (decided(100, 19), 0.1, "20 as manipulated; there are 100 and 19"),
        ([], 0.1, "there are 0 and 0"),
        (decided(100, 100), 0.0, "must lie between 0 and 1"),
        ([case(NO, 0.9999)] * 60 + [case(YES, 0.9)] * 20, 0.1, "no threshold keeps them out"),
    ],
)
def test_too_few_decisions_give_no_threshold_but_a_sentence(cases, rate, sentence):
    with pytest.raises(InputError, match=sentence):
        pick(cases, rate)


def test_what_a_threshold_would_change_is_told_by_what_people_decided():
    cases = [case(NO, 0.5), case(YES, 0.55), case(YES, 0.6), case(UNSURE, 0.7), case(YES, None)]
    lower, higher = change(cases, 0.6, 0.5), change(cases, 0.6, 0.7)
    assert (lower.flagged, lower.cleared) == ({NO: 1, YES: 1}, {})
    assert (higher.flagged, higher.cleared) == ({}, {YES: 1})


def test_of_what_is_flagged_few_are_manipulated_where_few_are_to_begin_with():
    found = Pick(0.5, (0.4, 0.6), Rate(5, 100), Rate(80, 100))
    # 1 in 100 manipulated: 0.0495 flagged wrongly beside 0.008 rightly.
    middle, low, high = found.innocent_of_100(0.01)
    assert middle == pytest.approx(100 * 0.0495 / 0.0575)
    assert low < middle < high
    assert found.innocent_of_100(0.5)[0] == pytest.approx(100 * 0.05 / 0.85)
    assert math.isnan(Pick(0.5, (0.4, 0.6), Rate(0, 100), Rate(0, 100)).innocent_of_100(0.1)[0])


def test_months_tell_the_scores_of_all_and_the_agreement_of_the_decided():
    scores = [("2026-01-05T00:00:00", fake) for fake in (0.1, 0.2, 0.3, 0.4, 0.5)]
    cases = [replace(c, at="2026-02-01T00:00:00") for c in decided(30, 30)]
    january, february = months(scores, cases, 0.6)
    assert (january.month, january.scored, january.agreement.n) == ("2026-01", 5, 0)
    assert january.quartiles == pytest.approx((0.2, 0.3, 0.4))
    assert (february.quartiles, february.agreement.n) == (None, 60)


def test_a_second_look_is_due_where_methods_disagree_near_a_threshold_or_by_lot():
    quiet = Settings.from_env({"TELLTALE_SECOND_SHARE": "0", "TELLTALE_SECOND_NEAR": "0.02"})
    near = replace(REPORT, verdict=Verdict(Label.SOME_SIGNS, 0.61, (0.5, 0.7), 1.0, ""))
    assert second_look(REPORT, BANDS, quiet) == ""
    assert "near the threshold 0.6" in second_look(near, BANDS, quiet)
    assert second_look(near, BANDS, quiet.model_copy(update={"second_near": 0.0})) == ""
    high, low = (replace(FINDING, weighing=replace(FINDING.weighing, intercept=to, sd=0.1)) for to in (3.0, -3.0))
    at_odds = replace(REPORT, findings=(high, replace(low, detector="xception")))
    assert "contradict" in second_look(at_odds, BANDS, quiet)
    assert second_look(at_odds, BANDS, quiet.model_copy(update={"second_disagreement": False})) == ""
    a_third = quiet.model_copy(update={"second_share": 1 / 3})
    drawn = [bool(second_look(replace(REPORT, id=str(i)), BANDS, a_third)) for i in range(600)]
    assert drawn == [bool(second_look(replace(REPORT, id=str(i)), BANDS, a_third)) for i in range(600)]
    assert 150 < sum(drawn) < 250
