"""What an analysis will take is foretold from what earlier ones took here, and called a guess until then."""

from dataclasses import replace

import pytest

from analysis.costs import FACES_S, PREPARING_S, cost_of, costs, estimate, learn
from core.settings import Settings
from core.types import Finding, Label, Options, Person, Quality, Report, Verdict, Video
from core.weights import load_manifest
from detectors import Choice, choices, looks_of
from detectors.appearance import FRAMES
from preprocessing.video import Claim

UNSEEN = Verdict(Label.NOT_ASSESSED, None, None, 0.0, "")
LRNET, XCEPTION = "lrnet/telltale", "xception/ffpp-c23"
OPTIONS = {name: Options((), thoroughness=name) for name in FRAMES}


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path)})


@pytest.fixture
def chosen(settings, monkeypatch) -> dict[str, Choice]:
    """Two that are taken to be ready, whatever lies on this machine."""
    monkeypatch.setattr("analysis.costs.is_prepared", lambda choice, *_: choice.weights.id == LRNET)
    offered = {c.weights.id: replace(c, reason=None) for c in choices(load_manifest(), settings)}
    return {id: offered[id] for id in (LRNET, XCEPTION)}


def report(faces_s=4.0, xception_s=1.6, frames=200, options=OPTIONS["standard"]) -> Report:
    """Somebody whom both scored, and somebody whom Xception could not look at."""
    one = Person(1, 0.0, 8.0, frames, 100.0, UNSEEN, Quality(1, 0, 1, 25, 0, 0))
    findings = [
        Finding("lrnet", "entire", 1, "scored"),
        Finding("xception", "entire", 1, "scored"),
        Finding("xception", "entire", 2, "skipped", reason="Too small."),
    ]
    video = Video("", "", 8.0, frames, frames, 25.0, 64, 64, "h264", 0)
    timings = {"faces": faces_s, LRNET: 0.02, XCEPTION: xception_s, "explanations": 1.2, "total": 9.0}
    return Report(
        *("", "", "", "", options, video, UNSEEN, (one, replace(one, id=2)), tuple(findings), (), timings, "cpu")
    )


def test_what_a_frame_cost_is_learnt_from_who_was_scored(settings, chosen):
    learn(report(), list(chosen.values()), settings)
    known = costs(settings)
    assert sorted(known.values()) == pytest.approx([0.02 / 16, 4.0 / 200, 1.6 / 16, 1.2 / 2 / 2])
    assert cost_of(chosen[XCEPTION], known) == pytest.approx(0.1)


def test_the_machine_is_followed_half_way_at_a_time(settings, chosen):
    for faces_s in (4.0, 8.0):
        learn(report(faces_s=faces_s), [], settings)
    assert (4.0 + 8.0) / 2 / 200 in costs(settings).values()


def test_a_video_without_anybody_teaches_only_what_its_frames_cost(settings, chosen):
    learn(replace(report(), tracks=(), findings=()), list(chosen.values()), settings)
    assert len(costs(settings)) == 1


def test_an_analysis_like_the_last_one_takes_as_long(settings, chosen):
    learn(report(), list(chosen.values()), settings)
    found = estimate(Claim(8.0, 25.0), [], OPTIONS["standard"], list(chosen.values()), settings)
    assert found.is_measured
    assert found.preparing_s == PREPARING_S
    assert found.seconds - found.preparing_s == pytest.approx(4.0 + 1.6 + 0.02 + 1.2)


def test_the_estimate_grows_with_all_that_costs_time(settings, chosen):
    learn(report(), list(chosen.values()), settings)
    lrnet, both, clip = [chosen[LRNET]], list(chosen.values()), Claim(70.0, 25.0)

    def seconds(*asked) -> float:
        return estimate(*asked, settings).seconds

    standard = seconds(clip, [], OPTIONS["standard"], lrnet)
    assert seconds(clip, [], OPTIONS["fast"], lrnet) < standard
    assert seconds(clip, [], OPTIONS["thorough"], lrnet) > 2.9 * standard, "read three times, and to its end"
    assert seconds(clip, [], OPTIONS["standard"], both) > standard
    assert seconds(clip, [clip], OPTIONS["standard"], lrnet) == pytest.approx(2 * standard, rel=0.05)
    assert seconds(Claim(70.0, 50.0), [], OPTIONS["standard"], lrnet) == pytest.approx(2 * standard, rel=0.05)
    assert seconds(Claim(300.0, 25.0), [], OPTIONS["standard"], lrnet) == pytest.approx(standard), "the first minute"


def test_what_was_never_timed_here_is_guessed_and_called_a_guess(settings, chosen):
    found = estimate(Claim(8.0, 25.0), [], OPTIONS["fast"], list(chosen.values()), settings)
    assert not found.is_measured
    assert found.seconds > 200 * FACES_S + 8 * FACES_S + PREPARING_S
    learn(report(), [chosen[LRNET]], settings)
    assert estimate(Claim(8.0, 25.0), [], OPTIONS["fast"], [chosen[LRNET]], settings).is_measured
    assert not estimate(Claim(8.0, 25.0), [], OPTIONS["fast"], list(chosen.values()), settings).is_measured


@pytest.mark.parametrize("damaged", ["", "[1]", '{"facemesh cpu": "long"}', "{"])
def test_a_damaged_file_of_costs_is_as_good_as_none(settings, chosen, damaged):
    (settings.data / "costs.json").write_text(damaged)
    assert costs(settings) == {}
    learn(report(), [], settings)
    assert costs(settings)


def test_a_detector_looks_at_no_more_frames_than_there_are(settings, chosen):
    assert [look.frames for look in looks_of(chosen[XCEPTION], "thorough")] == [FRAMES["thorough"]]
    learn(report(frames=10, xception_s=1.0), list(chosen.values()), settings)
    assert cost_of(chosen[XCEPTION], costs(settings)) == pytest.approx(0.1)
