"""A clip is looked at again after changes that should not matter; a verdict that does not hold is called unstable."""

import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.pipeline import analyze
from analysis.stability import GONE, Assessment, compare, find_again, stand_trial
from core.errors import Cancelled
from core.settings import Settings
from core.types import Frame, Label, Options, Person, Quality, Verdict
from core.weights import load_manifest
from preprocessing.changes import add_noise, blur, brighten, reencode, shrink
from tests import clips

UNEVEN = [0.0, 0.04, 0.05, 0.4, 1.7]
"""Times of frames in s, as those of a variable frame rate."""


def frames(height=241, width=321):
    image = clips.portrait()[:height, :width]
    return [Frame(3 + i, time_s, np.roll(image, i, axis=1)) for i, time_s in enumerate(UNEVEN)]


@pytest.mark.parametrize(("height", "width"), [(240, 320), (241, 320), (240, 321), (33, 35)])
def test_encoding_again_loses_detail_and_neither_size_nor_time(height, width):
    before = frames(height, width)
    after = list(reencode(iter(before)))
    assert [(f.index, f.time_s, f.image.shape) for f in after] == [(f.index, f.time_s, f.image.shape) for f in before]
    for a, b in zip(before, after, strict=True):
        assert 0 < np.abs(a.image.astype(int) - b.image).mean() < 20


def test_a_picture_that_changes_its_size_midway_is_encoded_in_each_size():
    before = frames(240, 320) + frames(120, 161)
    assert [f.image.shape for f in reencode(iter(before))] == [f.image.shape for f in before]


def test_scaling_keeps_times_and_three_quarters_of_the_size():
    after = list(shrink(iter(frames(241, 321))))
    assert [f.image.shape for f in after] == [(181, 241, 3)] * len(UNEVEN)
    assert [f.time_s for f in after] == UNEVEN


def test_stronger_compression_loses_more_and_a_quarter_of_the_size_is_a_quarter():
    before = frames()
    lost = [
        np.mean([np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(before, again, strict=True)])
        for again in (list(reencode(iter(before), crf=crf)) for crf in (23, 32, 40))
    ]
    assert lost == sorted(lost)
    assert {f.image.shape for f in shrink(iter(before), scale=0.25)} == {(60, 80, 3)}


def test_blur_noise_and_light_do_what_they_say_and_nothing_else():
    before, flat = frames(), [Frame(i, i / 25, np.full((64, 64, 3), 100, np.uint8)) for i in range(3)]
    for change in (partial(blur, sigma_px=2), partial(add_noise, sd=10), partial(brighten, gain=0.6)):
        after = list(change(iter(before)))
        assert [(f.index, f.time_s, f.image.shape) for f in after] == [
            (f.index, f.time_s, f.image.shape) for f in before
        ]
        assert {f.image.dtype for f in after} == {np.dtype(np.uint8)}
    assert [f.image.std() for f in blur(iter(flat), sigma_px=2)] == [0, 0, 0]
    assert {int(f.image.mean()) for f in brighten(iter(flat), gain=1.4)} == {140}
    assert {int(f.image.max()) for f in brighten(iter(flat), gain=9)} == {255}
    noisy, again = (list(add_noise(iter(flat), sd=10)) for _ in range(2))
    assert [f.image.std() for f in noisy] == pytest.approx([10] * 3, rel=0.05)
    for a, b in zip(noisy, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    assert not np.array_equal(noisy[0].image, noisy[1].image)


def test_the_changed_clip_is_the_same_each_time():
    first, second = (list(reencode(iter(frames()))) for _ in range(2))
    assert len(first) == len(UNEVEN)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.image, b.image)


def verdict(fake, label=Label.INCONCLUSIVE):
    if fake is None:
        return Verdict(Label.NOT_ASSESSED, None, None, 0.0, "Too blurred.")
    return Verdict(label, fake, (fake, fake), 1.0, "Because.")


def track(x, first=0, last=100, scale=1.0):
    index = np.arange(first, last)
    box = np.float32([x, 50, x + 80, 150]) * scale
    return SimpleNamespace(index=index, boxes=np.tile(box, (len(index), 1)))


def assessment(tracks, verdicts):
    persons = [Person(i + 1, 0.0, 4.0, 100, 80.0, said, Quality(50, 0, 1, 25, 0, 0)) for i, said in enumerate(verdicts)]
    numbered = [p.verdict for p in persons if p.verdict.fake is not None]
    return Assessment(
        SimpleNamespace(tracks=tracks), [], [], persons, max(numbered, key=lambda v: v.fake, default=verdict(None))
    )


def test_people_are_found_again_by_time_and_box_whatever_their_number_and_the_size_of_the_picture():
    left, right, later = track(20), track(300), track(20, 100, 200)
    others = [track(302, scale=0.75), track(20, 101, 200, scale=0.75), track(18, 0, 90, scale=0.75)]
    assert [find_again(t, others, 0.75) for t in (left, right, later)] == [2, 0, 1]
    assert find_again(left, [track(20, 70, 100)], 1.0) is None, "for a third of the time is not enough"
    assert find_again(left, [], 1.0) is None


def test_each_person_is_compared_with_themselves():
    before = assessment([track(20), track(300)], [verdict(0.5), verdict(0.6)])
    after = assessment([track(300), track(20)], [verdict(0.4), verdict(0.3)])
    trials = compare("re-encoded", before, after)
    assert [(t.track_id, t.fake) for t in trials] == [(None, 0.4), (1, 0.3), (2, 0.4)]


def test_who_is_not_found_again_or_cannot_be_assessed_has_no_number_and_a_reason():
    before = assessment([track(20), track(300), track(600)], [verdict(0.5), verdict(0.6), verdict(None)])
    trials = compare("scaled", before, assessment([track(20)], [verdict(None)]))
    assert [(t.track_id, t.label, t.fake, t.reason) for t in trials] == [
        (None, Label.NOT_ASSESSED, None, "Too blurred."),
        (1, Label.NOT_ASSESSED, None, "Too blurred."),
        (2, Label.NOT_ASSESSED, None, GONE),
    ]


def test_a_verdict_that_changes_its_band_is_called_unstable_and_keeps_its_band():
    before = assessment([track(20)], [verdict(0.6, Label.SOME_SIGNS)])
    answers = iter([assessment([track(20)], [verdict(0.48)]), assessment([track(15, scale=0.75)], [verdict(None)])])
    after, trials = stand_trial(before, lambda change, called: next(answers))
    assert len(trials) == 4
    for said in (after.verdict, after.persons[0].verdict):
        assert (said.label, said.fake) == (Label.SOME_SIGNS, 0.6)
        assert said.reason == (
            "Because. Unstable: the same methods say inconclusive (0.48) after re-encoding. "
            "Could not be assessed at three quarters of its size: Too blurred."
        )


def test_a_verdict_that_holds_says_nothing_of_it_and_one_without_a_number_is_not_tried():
    steady, unseen = assessment([track(20)], [verdict(0.5)]), assessment([track(20)], [verdict(None)])
    scaled = assessment([track(20, scale=0.75)], [verdict(0.52)])
    answers = iter([steady, scaled])
    after, trials = stand_trial(steady, lambda change, called: next(answers))
    assert after.verdict.reason == "Because."
    assert [t.fake for t in trials] == [0.5, 0.5, 0.52, 0.52]
    assert stand_trial(unseen, lambda change, called: pytest.fail("nothing can have moved")) == (unseen, ())


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path_factory.mktemp("data"))})


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return clips.good(tmp_path_factory.mktemp("clips") / "clip.mp4", 110)


def run(clip, settings, thoroughness, on_progress):
    return analyze(
        clip,
        name="clip",
        options=Options(("lrnet",), thoroughness=thoroughness),
        settings=settings,
        manifest=load_manifest(),
        on_progress=on_progress,
    )


def test_a_thorough_analysis_scores_the_clip_again_and_writes_nothing(clip, settings):
    stages = []
    report = run(clip, settings, "thorough", lambda progress: stages.append(progress.stage))
    (person,) = report.tracks
    assert [(t.change, t.track_id) for t in report.trials] == [
        *[("re-encoded", None), ("re-encoded", person.id)],
        *[("scaled", None), ("scaled", person.id)],
    ]
    numbers = [report.verdict.fake, report.trials[0].fake, report.trials[2].fake]
    assert len(set(numbers)) == 3
    assert np.ptp(numbers) < 0.3, "a genuine clip, hardly changed"
    assert report.timings_s["stability"] > report.timings_s["faces"] / 2
    assert any(stage.startswith("Once more after re-encoding: Following faces") for stage in stages)
    assert any(stage.startswith("Once more at three quarters of its size: Scoring") for stage in stages)
    assert not list(settings.data.iterdir())


def test_less_than_thorough_it_is_looked_at_once(clip, settings):
    stages = []
    report = run(clip, settings, "standard", lambda progress: stages.append(progress.stage))
    assert report.trials == ()
    assert not any("Once more" in stage for stage in stages)


def test_a_cancelled_trial_stops_at_its_next_frame_and_leaves_no_thread_behind(clip, settings):
    before = set(threading.enumerate())
    heard = []

    def stop(progress):
        heard.append(progress.stage)
        if "re-encoding: Following" in progress.stage:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run(clip, settings, "thorough", stop)
    assert sum("Once more" in stage for stage in heard) == 2, "it was opened, and stopped at the first frame"
    assert {t for t in threading.enumerate() if t.name == "ahead"} <= before
