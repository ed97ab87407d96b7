"""From scores to a verdict: algebra of evidence, bands, and words."""

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.calibration import (
    UNCALIBRATED,
    Evidence,
    against,
    calibrated,
    evidence,
    raw_logit,
    sigmoid,
    source_offset,
)
from analysis.explanation import STRONGER, explain_limits, explain_person, explain_video
from analysis.fusion import band, decisive, fuse, fuse_methods
from core.settings import Settings
from core.types import Finding, Label, Person, Quality, Scores, UsedWeights, Verdict
from core.weights import Calibration, load_manifest

SETTINGS = Settings.from_env({"TELLTALE_STRONG_SIGNS": "0.8", "TELLTALE_SOME_SIGNS": "0.6", "TELLTALE_NO_SIGNS": "0.3"})
CERTAIN = ((0.0, 0.0), (0.0, 0.0))


def scores(*fake):
    return Scores(
        "lrnet", "entire", 1, "w", np.arange(len(fake), dtype=float), np.array(fake, np.float32), float(np.mean(fake))
    )


def calibration(slope=1.0, intercept=0.0, covariance=CERTAIN, real_logit=0.0, auc=None):
    return Calibration(slope, intercept, covariance, real_logit, "made up", 10, auc)


def calibrate(answer, known, *, offset=0.0):
    return evidence(answer.overall, calibrated(answer, known, offset=offset))


def uncalibrated(answer):
    return evidence(answer.overall, UNCALIBRATED)


def person(number, fake):
    label = Label.NOT_ASSESSED if fake is None else band(fake, 1.0, SETTINGS)
    interval = None if fake is None else (fake, fake)
    return Person(
        number, 0.0, 1.0, 25, 100.0, Verdict(label, fake, interval, 1.0, f"about {number}"), Quality(1, 0, 1, 25, 0, 0)
    )


def test_calibration_by_the_identity_changes_nothing():
    assert calibrate(scores(0.7, 0.7), calibration()).fake == pytest.approx(0.7)


def test_a_detector_without_skill_says_nothing_however_sure_it_sounds():
    assert calibrate(scores(0.999, 0.999), calibration(slope=0.0)).fake == 0.5


def test_the_interval_widens_with_disagreement_and_with_doubt_about_the_calibration():
    agreed = calibrate(scores(0.7, 0.7, 0.7), calibration())
    split = calibrate(scores(0.5, 0.7, 0.9), calibration())
    doubtful = calibrate(scores(0.7, 0.7, 0.7), calibration(covariance=((0.0, 0.0), (0.0, 0.25))))
    assert agreed.interval == pytest.approx((0.7, 0.7))
    assert split.interval[0] < 0.7 < split.interval[1]
    assert doubtful.sd == pytest.approx(0.5)


def test_a_source_that_scores_high_by_itself_is_taken_off_by_degrees():
    known = calibration(real_logit=-1.0)
    assert source_offset([], known) == 0
    one, many = source_offset([0.8], known), source_offset([0.8] * 100, known)
    assert 0 < one < many < raw_logit(0.8) + 1.0
    assert calibrate(scores(0.8), known, offset=one).fake < calibrate(scores(0.8), known).fake


def test_a_score_is_told_beside_genuine_ones_as_a_difference_with_its_interval():
    alike, (low, high) = against(scores(0.6), [scores(0.6), scores(0.6)])
    assert (alike, low, high) == (0.0, 0.0, 0.0), "no score of these moves along its track"
    above, (low, high) = against(scores(0.9), [scores(0.2), scores(0.4)])
    assert low < above < high
    assert above == pytest.approx(raw_logit(0.9) - (raw_logit(0.2) + raw_logit(0.4)) / 2)
    _, (lower, higher) = against(scores(0.9), [scores(0.2), scores(0.4)] * 20)
    assert higher - lower < high - low, "more reference clips say more"


def test_one_witness_stands_as_it_is():
    assert fuse([Evidence(0.7, 0.2)], 0.5) == Evidence(0.7, 0.2)


def test_two_that_agree_are_worth_more_than_one_and_less_than_two():
    assert 1.0 < fuse([Evidence(1.0, 0.1)] * 2, 0.5).logit < 2.0


def test_fusion_is_symmetric_in_order_and_in_sign():
    a, b = Evidence(1.3, 0.2), Evidence(-0.4, 0.5)
    assert fuse([a, b], 0.5) == fuse([b, a], 0.5)
    assert fuse([Evidence(-1.3, 0.2), Evidence(0.4, 0.5)], 0.5).logit == pytest.approx(-fuse([a, b], 0.5).logit)


def test_many_regions_of_one_method_do_not_outvote_another_method():
    nose, other = Evidence(2.0, 0.1), Evidence(-2.0, 0.1)
    both = fuse_methods({"pixels": [nose] * 5, "motion": [other]})
    assert 0 < both.logit < nose.logit
    assert fuse_methods({"motion": [other]}) == other, "a method that could not look is left out, not counted as 0"


def test_uncalibrated_scores_keep_their_order_and_are_held_back():
    low, high = uncalibrated(scores(0.2)), uncalibrated(scores(0.99))
    assert low.fake < 0.5 < high.fake < 0.99
    assert uncalibrated(scores(0.5)).fake == 0.5


def test_no_evidence_has_no_number():
    with pytest.raises(ValueError, match="not_assessed"):
        fuse([], 0.5)
    with pytest.raises(ValueError, match="unless it is not_assessed"):
        Verdict(Label.NOT_ASSESSED, 0.5, None, 0.0, "")


@pytest.mark.parametrize(
    ("fake", "coverage", "label"),
    [
        (0.8, 0.1, Label.STRONG_SIGNS),
        (0.6, 1.0, Label.SOME_SIGNS),
        (0.5, 1.0, Label.INCONCLUSIVE),
        (0.2, 1.0, Label.NO_SIGNS),
        (0.2, 0.4, Label.INCONCLUSIVE),
    ],
)
def test_bands(fake, coverage, label):
    assert band(fake, coverage, SETTINGS) is label


def test_what_nobody_calibrated_is_never_called_strong_by_itself():
    assert band(0.95, 1.0, SETTINGS, calibrated=False) is Label.SOME_SIGNS


def test_the_verdict_of_a_video_is_that_of_its_most_suspicious_person():
    assert decisive([person(1, 0.2), person(2, 0.9), person(3, None)]).id == 2
    assert decisive([person(1, None)]) is None
    assert decisive([]) is None


def test_reasons_say_who_by_what_and_who_could_not_be_judged():
    found = Finding(
        detector="lrnet",
        region="entire",
        track_id=2,
        status="scored",
        fake=0.9,
        calibrated=True,
        overall=0.7,
        vote=0.75,
        time_s=(0.0, 1.0, 2.0, 3.0),
        scores=(0.9, 0.8, 0.7, 0.4),
    )
    said = explain_person(Label.STRONG_SIGNS, [found])
    assert "LRNet" in said
    assert "3 of 4" in said
    assert "uncalibrated" not in said
    guess = replace(found, calibrated=False)
    assert "Part of this is uncalibrated" in explain_person(Label.SOME_SIGNS, [found, guess])
    alone = explain_person(Label.SOME_SIGNS, [guess])
    assert "This is uncalibrated" in alone
    assert "clips score this high" not in alone, "nobody measured how high they score"
    crowd = [person(1, 0.2), person(2, 0.9), person(3, None)]
    video = explain_video(Label.STRONG_SIGNS, crowd, crowd[1], frames=100)
    assert "person 2" in video
    assert "1 of 3 people could not be assessed" in video
    assert "No face was found in the 100 frames" in explain_video(Label.NOT_ASSESSED, [], None, frames=100)


def test_a_skip_is_explained_once_by_its_own_reason():
    skipped = [Finding("lrnet", "entire", 1, "skipped", reason="Too short.")] * 2
    assert explain_person(Label.NOT_ASSESSED, skipped) == "Too short."


def test_where_bundled_methods_alone_cannot_tell_the_command_for_a_stronger_one_is_given(tmp_path):
    manifest, settings = load_manifest(), Settings.from_env({"TELLTALE_DATA": str(tmp_path)})

    def said(label, *ids):
        findings = [
            Finding(manifest[id].detector, "entire", 1, "scored", fake=0.5, weights=UsedWeights(id, "", ""))
            for id in ids
        ]
        return explain_limits(label, findings, manifest, settings)

    assert f"python -m core.weights fetch {STRONGER}." in said(Label.INCONCLUSIVE, "lrnet/telltale")
    assert not said(Label.INCONCLUSIVE, "lrnet/telltale", "xception/deepfakebench"), "a stronger one was heard"
    assert not said(Label.SOME_SIGNS, "lrnet/telltale")
    ready = manifest | {STRONGER: replace(manifest["lrnet/telltale"], id=STRONGER)}
    assert not explain_limits(Label.INCONCLUSIVE, [], ready, settings), "it is here already"


@pytest.mark.parametrize("label", list(Label))
def test_no_words_of_ours_call_a_video_real(label):
    found = Finding("lrnet", "entire", 1, "scored", fake=0.1, overall=0.1, vote=0.0, time_s=(0.0,), scores=(0.1,))
    said = explain_person(label, [found]).lower()
    assert not {"real", "authentic", "fake"} & set(said.replace(".", " ").replace(",", " ").split())


def test_raw_logits_are_bounded_and_inverted_by_the_sigmoid():
    assert raw_logit(1.0) == pytest.approx(math.log(99))
    assert sigmoid(raw_logit(0.3)) == pytest.approx(0.3)


def test_equal_weights_are_what_n_equally_correlated_witnesses_are_worth():
    for weight in (0.05, 1.0):
        three = [Evidence(logit, 0.3, weight) for logit in (1.0, -0.2, 0.5)]
        fused = fuse(three, 0.5)
        assert fused.logit == pytest.approx(sum(e.logit for e in three) / (1 + 2 * 0.5))
        assert fused.sd == pytest.approx(math.sqrt(3 * 0.09 + 0.5 * 6 * 0.09) / (1 + 2 * 0.5))


def test_a_witness_that_outweighs_all_others_stands_nearly_as_it_is():
    fused = fuse([Evidence(0.7, 0.2, 1.0), Evidence(-3.0, 0.2, 1e-6), Evidence(-2.0, 0.9, 1e-6)], 0.5)
    assert (fused.logit, fused.sd) == pytest.approx((0.7, 0.2), abs=1e-4)


def test_only_the_ratio_of_weights_counts_and_more_weight_draws_nearer():
    def at(weight, scale=1.0):
        return fuse([Evidence(2.0, 0.2, scale), Evidence(-1.0, 0.2, weight * scale)], 0.5).logit

    assert at(0.5) == pytest.approx(at(0.5, scale=0.1))
    drawn = [at(weight) for weight in (0.1, 0.5, 1.0, 2.0, 10.0)]
    assert drawn == sorted(drawn, reverse=True)


def test_more_evidence_of_manipulation_never_lowers_what_is_fused():
    rng = np.random.default_rng(0)
    for _ in range(50):
        witnesses = [Evidence(*values) for values in rng.uniform((-3, 0.1, 0.05), (3, 1, 1), size=(4, 3))]
        raised = [replace(witnesses[0], logit=witnesses[0].logit + 1), *witnesses[1:]]
        assert fuse(raised, 0.5).logit > fuse(witnesses, 0.5).logit


def test_reliability_rises_with_the_measured_auc_and_never_silences():
    weights = [calibration(auc=auc).reliability for auc in (0.4, 0.5, 0.61, 0.9, 1.0)]
    assert weights == pytest.approx([0.05, 0.05, 0.22, 0.8, 1.0])
    assert calibration().reliability == UNCALIBRATED.reliability == pytest.approx(0.2), "all unmeasured weigh the same"
