"""A report is weighed anew without the video: the recorded verdict by default, and what other weights make of it."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.disagreement import disagreement
from analysis.findings import assess, judge, weigh
from analysis.fusion import basis_of, decisive, unfit
from analysis.weighing import POINTS, fused_lines, reweigh
from core.odds import sigmoid, weighed_logit
from core.settings import Settings
from core.types import Finding, Label, Options, Person, Quality, Report, Scores, Skipped, Video, Weighing
from core.weights import Calibration, load_manifest

SETTINGS = Settings.from_env({})
MANIFEST = load_manifest()
KNOWN = Calibration(1.2, -0.3, ((0.02, 0.0), (0.0, 0.02)), 0.0, "made up", 100, auc=0.9)
SETS = {"pixels": "xception/ffpp-c23", "mouth": "dsp_fwa/bida-uadfv/mouth", "eyes": "dsp_fwa/bida-uadfv/eyes"}
MOTION = "lrnet/telltale"
SHARP = Quality(100.0, 5.0, 1.0, 25.0, 0.0, 0.0)


def scores(id: str, *fake: float, person: int = 1, start_s: float = 0.5) -> Scores:
    """One score a second."""
    weights, values = MANIFEST[id], np.array(fake, np.float32)
    time_s = start_s + np.arange(len(fake), dtype=float)
    return Scores(weights.detector, weights.region, person, id, time_s, values, float(values.mean()))


def report(*answers: Scores | Skipped, people: int = 1, calibrated: bool = True) -> Report:
    """As the pipeline would make it, of people who are in the picture for ten seconds."""
    known = {id: replace(weights, calibration=KNOWN if calibrated else None) for id, weights in MANIFEST.items()}
    findings = tuple(weigh(answer, known, {}) for answer in answers)
    video = Video("0" * 64, "clip.mp4", 10.0, 250, 250, 25.0, 640, 480, "h264", 0)
    tracks = tuple(
        Person(n, 0.0, 10.0, 250, 120.0, assess([f for f in findings if f.track_id == n], 10.0, SETTINGS), SHARP)
        for n in range(1, people + 1)
    )
    verdict = judge(tracks, video, SETTINGS)
    return Report("r", "now", "0", "f", Options(()), video, verdict, tracks, findings, (), {}, "cpu")


@pytest.fixture
def several() -> Report:
    hidden = Skipped("dsp_fwa", "eyes", 1, "The eyes are hidden.", SETS["eyes"])
    return report(
        scores(MOTION, 0.6, 0.7, 0.9),
        scores(SETS["pixels"], 0.2, 0.3),
        scores(SETS["mouth"], 0.8, 0.7),
        hidden,
        scores(MOTION, 0.4, 0.2, person=2),
        people=2,
    )


def test_the_manifest_s_reliability_is_that_of_the_accuracy_it_states():
    measured = [w for w in MANIFEST.values() if w.calibration and w.calibration.auc is not None]
    assert measured
    for weights in measured:
        assert f"AUC {weights.calibration.auc:.2f} " in weights.measured, weights.id


def test_without_other_weights_the_recorded_verdict_comes_out(several):
    assert reweigh(several, {}, SETTINGS) == several
    kept = {f.witness: f.weighing.reliability for f in several.findings if f.weighing}
    assert len(kept) == 3
    assert reweigh(several, kept, SETTINGS) == several


def test_more_weight_draws_the_verdict_to_a_method_and_to_nobody_else_s(several):
    low = reweigh(several, {SETS["pixels"]: 1.0}, SETTINGS)
    high = reweigh(several, {SETS["pixels"]: 0.01}, SETTINGS)
    assert low.tracks[0].verdict.fake < several.tracks[0].verdict.fake < high.tracks[0].verdict.fake
    assert low.tracks[1] == high.tracks[1] == several.tracks[1]


@pytest.mark.parametrize("out", [MOTION, *SETS.values()])
def test_a_witness_that_is_left_out_never_crashes_and_never_counts_as_one_half(several, out):
    rest = [f for f in several.findings if f.track_id == 1 and f.witness != out]
    assert reweigh(several, {out: 0}, SETTINGS).tracks[0].verdict == assess(rest, 10.0, SETTINGS)


def test_one_that_is_left_is_the_verdict_as_it_stands_and_none_has_no_number(several):
    alone = reweigh(several, dict.fromkeys(SETS.values(), 0), SETTINGS).tracks[0].verdict
    assert alone.fake == pytest.approx(several.findings[0].fake)
    assert alone.interval == pytest.approx(several.findings[0].interval)
    nothing = reweigh(several, dict.fromkeys([MOTION, *SETS.values()], 0), SETTINGS)
    assert {p.verdict.label for p in nothing.tracks} == {nothing.verdict.label} == {Label.NOT_ASSESSED}
    assert fused_lines(nothing) == []


def test_what_no_method_says_by_itself_is_marked_by_what_it_rests_on():
    calibrated, not_calibrated = (
        report(scores(SETS["pixels"], 0.99), scores(SETS["mouth"], 0.99), calibrated=known) for known in (True, False)
    )
    assert (calibrated.verdict.basis, calibrated.verdict.label) == ("calibrated", Label.STRONG_SIGNS)
    assert (not_calibrated.verdict.basis, not_calibrated.verdict.label) == ("uncalibrated", Label.SOME_SIGNS)
    doubtful = replace(scored := calibrated.findings[0], weighing=replace(scored.weighing, intercept=-6.0))
    mixed = assess([doubtful, *[replace(f, calibrated=False) for f in calibrated.findings]], 10.0, SETTINGS)
    assert mixed.basis == "partly uncalibrated"
    assert mixed.label is not Label.STRONG_SIGNS, "only what nobody calibrated says so"
    assert basis_of([]) is None


def test_the_fused_line_of_one_method_is_that_method_calibrated_with_its_gaps():
    line, hole = scores(MOTION, 0.2, 0.9, 0.4, 0.5, 0.6, 0.7), 3
    line = replace(line, time_s=line.time_s + np.where(np.arange(6) >= hole, 3.0, 0.0))
    (fused,) = fused_lines(report(line))
    weighing = report(line).findings[0].weighing
    expected = [sigmoid(weighed_logit(score, weighing)) for score in (0.2, 0.9, 0.4, 0.5, 0.6, 0.7)]
    assert fused.time_s == (0.5, 1.5, 2.5, None, 6.5, 7.5, 8.5)
    assert [p for p in fused.fake if p is not None] == pytest.approx(expected)
    assert fused.fake[3] is None


def test_where_one_of_two_methods_looks_the_fused_line_is_that_one_alone():
    both = report(scores(MOTION, 0.9, 0.9, 0.9, 0.9), scores(SETS["pixels"], 0.1, 0.1, start_s=2.5))
    (fused,) = fused_lines(both)
    at = dict(zip(fused.time_s, fused.fake, strict=True))
    alone = sigmoid(weighed_logit(0.9, both.findings[0].weighing))
    assert at[0.5] == at[1.5] == pytest.approx(alone, abs=1e-6)
    assert at[2.5] == at[3.5] < alone
    (without,) = fused_lines(reweigh(both, {SETS["pixels"]: 0}, SETTINGS))
    assert set(without.fake) == {at[0.5]}


def test_a_long_fused_line_has_no_more_points_than_a_chart_has_room_for():
    long = scores(MOTION, *np.linspace(0.1, 0.9, 2000))
    (fused,) = fused_lines(report(replace(long, time_s=np.linspace(0, 10, 2000))))
    assert POINTS / 2 < len(fused.time_s) <= POINTS
    assert None not in fused.fake


def test_who_can_hardly_be_judged_does_not_decide_but_forbids_to_say_no_signs(several):
    calm, loud = several.tracks[1], several.tracks[0]
    low = replace(calm, verdict=replace(calm.verdict, fake=0.1, coverage=1.0, label=Label.NO_SIGNS))
    for changes in ({"quality": replace(SHARP, sharpness=5.0)}, {"quality": replace(SHARP, yaw_deg=70.0)}, {}):
        verdict = replace(loud.verdict, fake=0.9, coverage=0.1 if not changes else 1.0, label=Label.STRONG_SIGNS)
        hidden = replace(loud, verdict=verdict, **changes)
        assert unfit(hidden, [hidden, low])
        assert decisive([hidden, low]) is low
        assert decisive([hidden]).id == hidden.id, "of whom else could it be"
        judged = judge([hidden, low], several.video, SETTINGS)
        assert (judged.fake, judged.label) == (0.1, Label.INCONCLUSIVE)
        assert "Person 1 scores higher and does not decide" in judged.reason


def said(detector: str, overall: float, region: str = "entire", sd: float = 0.2) -> Finding:
    return Finding(detector, region, 1, "scored", fake=overall, overall=overall, weighing=Weighing(1.0, 0.0, sd, 0.5))


@pytest.mark.parametrize(
    ("findings", "meaning"),
    [
        ([said("lipforensics", 0.9, "mouth"), said("xception", 0.1)], "lips were made to fit another sound"),
        ([said("dsp_fwa", 0.9, "mouth"), said("dsp_fwa", 0.1, "eyes")], "lips were made to fit another sound"),
        ([said("xception", 0.9), said("lrnet", 0.1)], "picture was replaced or retouched"),
        ([said("xception", 0.1), said("lrnet", 0.9)], "moved by somebody else's"),
        ([said("xception", 0.9), said("gend", 0.1), said("laa_net", 0.2)], "Xception alone scores high"),
        ([said("xception", 0.1), said("gend", 0.9), said("laa_net", 0.8)], "Xception alone scores low"),
        ([said("xception", 0.9), said("gend", 0.1)], "Xception and GenD contradict each other"),
        (
            [said("capsule", 0.1, "eyes"), said("capsule", 0.9, "nose")],
            "Capsule scores the region nose higher than eyes",
        ),
    ],
)
def test_methods_that_contradict_each_other_are_named_with_what_it_typically_means(findings, meaning):
    assert meaning in disagreement(findings)
    assert "typically" in disagreement(findings)
    assert meaning in assess(findings, 10.0, SETTINGS).reason


@pytest.mark.parametrize(
    "findings",
    [
        [],
        [said("xception", 0.9)],
        [said("lipforensics", 0.9, "mouth"), said("xception", 0.6)],  # both more likely than not
        [said("lipforensics", 0.9, "mouth", sd=3.0), said("xception", 0.1)],  # the intervals meet
        [said("lipforensics", 0.9, "mouth"), Finding("xception", "entire", 1, "skipped", reason="No.")],
        [said("capsule", 0.7, "eyes"), said("capsule", 0.9, "nose")],
    ],
)
def test_what_differs_by_no_more_than_doubt_is_no_contradiction(findings):
    assert disagreement(findings) == ""
