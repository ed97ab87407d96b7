"""Figures: the facts they show, then only that the figure has those traces."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from core.types import (
    Finding,
    FusedLine,
    Label,
    Motion,
    Options,
    Person,
    Quality,
    Report,
    UsedWeights,
    Verdict,
    Video,
    Weighing,
)
from plots import CURSOR_SHAPE, plot_landmarks, plot_matrix, plot_timeline, style, yours
from plots.landmarks import CONTOURS, MAX_FRAMES, landmark_paths
from plots.matrix import BINS, matrix_cells
from plots.timeline import timeline_lines, timeline_spans

TAG = "<img src=x onerror=alert(1)>"
SEEN = Verdict(Label.SOME_SIGNS, 0.7, (0.5, 0.8), 1.0, "Some signs.")
UNSEEN = Verdict(Label.NOT_ASSESSED, None, None, 0.0, "Too short.")
BLOCKS = (0.5, 1.5, 2.5, 3.5, 7.5, 8.5, 9.5)
"""Middles of one-second blocks over ten seconds, three of which are missing."""


def person(id: int, start_s: float, end_s: float, verdict: Verdict = SEEN) -> Person:
    return Person(id, start_s, end_s, 300, 120.0, verdict, Quality(50.0, 5.0, 1.0, 30.0, 0.0, 0.0))


def scored(person: int, weights: str = "lrnet/a", time_s: tuple[float, ...] = BLOCKS) -> Finding:
    return Finding(
        "lrnet",
        "entire",
        person,
        "scored",
        fake=0.91,
        interval=(0.8, 0.95),
        calibrated=True,
        weights=UsedWeights(weights, "0" * 64, "MIT"),
        time_s=time_s,
        scores=tuple(0.1 * i for i in range(len(time_s))),
    )


def report(people: tuple[Person, ...], findings: tuple[Finding, ...]) -> Report:
    video = Video("0" * 64, TAG, 10.0, 300, 300, 30.0, 1280, 720, "h264", 0)
    return Report(
        "id", "2025-01-01T00:00:00Z", "0", "f", Options(("lrnet",)), video, SEEN, people, findings, (), {}, "cpu"
    )


@pytest.fixture
def two_people() -> Report:
    """One who was scored with a gap, one in the picture from 4 s to 6 s who was not."""
    skipped = Finding("lrnet", "entire", 2, "skipped", reason=f"Too short {TAG}")
    return report((person(1, 0, 10), person(2, 4, 6, UNSEEN)), (scored(1), skipped))


@pytest.fixture
def nobody() -> Report:
    return report((), ())


@pytest.fixture
def motion() -> Motion:
    """Twice as long as is drawn, with many digits to every number; the face is lost in the second frame."""
    frames = 2 * MAX_FRAMES
    points = np.linspace(-0.987654, 0.987654, frames * 136, dtype=np.float32).reshape(frames, 68, 2)
    seen = np.ones(frames, bool)
    seen[1] = False
    return Motion(np.arange(frames) / 25, points, -points, seen)


def test_a_line_is_broken_where_blocks_are_missing_and_nowhere_else(two_people: Report) -> None:
    (line,) = timeline_lines(two_people)
    assert line.time_s == (0.5, 1.5, 2.5, 3.5, None, 7.5, 8.5, 9.5)
    assert line.score == pytest.approx((0.0, 0.1, 0.2, 0.3, None, 0.4, 0.5, 0.6))
    (whole,) = timeline_lines(report((person(1, 0, 10),), (scored(1, time_s=(0.5, 1.5, 3.5, 4.5)),)))
    assert None not in whole.time_s


def test_a_single_score_is_a_line_of_one_point_that_stands_for_the_person() -> None:
    alone = report((person(1, 0, 10),), (scored(1, time_s=(5.0,)),))
    assert timeline_lines(alone)[0].time_s == (5.0,)
    assert timeline_spans(alone) == []


def test_time_without_a_score_is_named_with_its_reason(two_people: Report) -> None:
    spans = [(s.person, s.kind, s.start_s, s.end_s) for s in timeline_spans(two_people)]
    assert spans == [(1, "unscored", 4, 7), (2, "absent", 0, 4), (2, "absent", 6, 10), (2, "unscored", 4, 6)]
    assert timeline_spans(two_people)[-1].reason == f"Too short {TAG}"


def test_a_stretch_that_one_of_several_methods_scored_is_not_unscored(two_people: Report) -> None:
    other = scored(1, "other/a", time_s=tuple(np.arange(0.5, 10).tolist()))
    both = replace(two_people, findings=(*two_people.findings, replace(other, detector="other")))
    assert [s.person for s in timeline_spans(both)] == [2, 2, 2]


def test_sets_of_weights_are_named_only_where_one_detector_has_several() -> None:
    people = (person(1, 0, 10),)
    assert [line.method for line in timeline_lines(report(people, (scored(1),)))] == ["lrnet"]
    several = report(people, (scored(1, "lrnet/a"), scored(1, "lrnet/b")))
    assert [line.method for line in timeline_lines(several)] == ["lrnet/a", "lrnet/b"]


def test_the_timeline_has_its_lines_its_spans_and_a_cursor(two_people: Report) -> None:
    figure = plot_timeline(two_people)
    assert [trace.type for trace in figure.data] == ["scatter", "bar", "bar"]
    assert figure.layout.xaxis.range == (0, 10)
    assert figure.layout.shapes[CURSOR_SHAPE].name == "cursor"
    assert [trace.type for trace in plot_timeline(two_people, person=1).data] == ["scatter", "bar"]


def test_people_differ_in_more_than_colour() -> None:
    both = plot_timeline(report((person(1, 0, 10), person(2, 0, 10)), (scored(1), scored(2)))).data[:2]
    assert len({trace.line.color for trace in both}) == len({trace.marker.symbol for trace in both}) == 2


def test_a_skipped_cell_says_why_and_is_never_drawn_as_a_number(two_people: Report) -> None:
    uncalibrated = replace(scored(2, "other/a"), detector="other", fake=0.6, calibrated=False)
    full = replace(two_people, findings=(*two_people.findings, uncalibrated))
    cells = [(c.person, c.method, c.fake, c.text) for c in matrix_cells(full)]
    assert cells == [
        (1, "lrnet", 0.91, "0.91"),
        (2, "lrnet", None, "skipped"),
        (2, "other", 0.6, "0.60 (uncalibrated)"),
    ]
    numbers, words, moments, blanks = plot_matrix(full).data
    assert (numbers.text, numbers.marker.color) == (("0.91", "0.60<br>(uncalibrated)"), (0.91, 0.6))
    assert words.text == ("skipped",)
    assert list(words.y) == list(blanks.y) == [1]
    assert [any(p is not None for p in row) for row in moments.z] == [True, False, True]
    for grey in (words, blanks):
        assert grey.marker.pattern.shape == "/"
        assert isinstance(grey.marker.color, str)
        assert "Too short" in grey.hovertext[0]
    assert (blanks.base, blanks.x) == ((4,), (2,))


def test_a_moment_of_the_matrix_has_the_highest_score_in_it_and_a_gap_has_none() -> None:
    times = (0.5, 1.5, 2.5, 3.5, 7.5, 7.52)
    peaked = replace(scored(1, time_s=times), scores=(0.1, 0.1, 0.1, 0.1, 0.9, 0.2))
    (cell,) = matrix_cells(report((person(1, 0, 10),), (peaked,)))
    width_s = 10 / BINS
    assert cell.moments[int(7.5 / width_s)] == 0.9
    assert cell.moments[int(1.0 / width_s)] == pytest.approx(0.1)
    assert cell.moments[int(5.5 / width_s)] is None


def test_the_matrix_says_whose_each_row_is_and_leads_with_what_was_fused(two_people: Report) -> None:
    fused = [FusedLine(1, "partly uncalibrated", (0.5, 9.5), (0.2, 0.8))]
    figure = plot_matrix(two_people, fused)
    assert figure.layout.meta["rows"] == [
        {"person": 1, "method": "fused", "region": ""},
        {"person": 1, "method": "lrnet", "region": "entire"},
        {"person": 2, "method": "lrnet", "region": "entire"},
    ]
    assert figure.data[0].text[0] == "0.70 (partly<br>uncalibrated)"


def weighed(person: int, weights: str, overall: float, *, calibrated: bool = True) -> Finding:
    plain = replace(scored(person, weights), calibrated=calibrated, weighing=Weighing(0.5, 0.0, 1.0, 0.2))
    return replace(plain, detector=weights.split("/")[0], fake=overall, scores=(overall,) * len(BLOCKS))


def test_lines_stand_on_the_scale_on_which_they_count_and_say_if_it_is_not_calibrated() -> None:
    known, guess = weighed(1, "lrnet/a", 0.9), weighed(1, "other/a", 0.9, calibrated=False)
    shown = report((person(1, 0, 10),), (known, guess, scored(1, "old/a")))
    lines = timeline_lines(shown)
    assert [line.remark for line in lines] == ["", "uncalibrated", "its own number"]
    assert lines[0].fake[0] == pytest.approx(0.75), "half of the log-odds of 9 to 1"
    assert lines[2].fake == lines[2].score
    calibrated, uncalibrated, _ = plot_timeline(report((person(1, 0, 10),), (known, guess, scored(1, "old/a")))).data[
        :3
    ]
    assert "uncalibrated" in uncalibrated.name
    assert "open" in uncalibrated.marker.symbol
    assert "open" not in calibrated.marker.symbol


def test_of_many_lines_only_the_fused_and_the_strongest_are_drawn_at_first() -> None:
    findings = [weighed(1, f"method{i}/a", 0.1 * i) for i in range(1, 8)]
    many = report((person(1, 0, 10),), tuple(findings))
    figure = plot_timeline(many, [FusedLine(1, "calibrated", (0.5, 9.5), (0.2, 0.8))])
    drawn = {trace.name: trace.visible for trace in figure.data if trace.meta}
    assert [name for name, visible in drawn.items() if visible is not False and visible != "legendonly"] == [
        "Person 1 · fused",
        "Person 1 · your weighting",
        "Person 1 · method7 · entire",
    ]
    assert len(drawn) == 9
    few = plot_timeline(replace(many, findings=many.findings[:3]))
    assert [trace.visible for trace in few.data if trace.meta] == [True] * 3


def test_one_s_own_weighting_fills_the_line_of_the_same_person() -> None:
    line = FusedLine(2, "uncalibrated", (0.5, None, 9.5), (0.2, None, 0.8))
    figure = plot_timeline(report((person(1, 0, 10), person(2, 0, 10)), (scored(1), scored(2))), [line])
    (empty,) = [trace for trace in figure.data if trace.meta and trace.meta["kind"] == "yours"]
    (filling,) = yours([line])
    assert filling["person"] == empty.meta["person"] == 2
    assert (filling["x"], filling["y"]) == (line.time_s, line.fake)
    assert filling["name"] == empty.name
    assert filling["hovertext"][0].startswith(empty.name)
    assert "uncalibrated" in empty.name


def test_an_empty_report_gives_figures_with_axes_and_a_sentence(nobody: Report) -> None:
    for figure in (plot_timeline(nobody), plot_matrix(nobody), plot_landmarks(None)[0]):
        assert figure.layout.annotations[0].text.startswith("No ")
        assert figure.layout.xaxis.title.text
    assert plot_landmarks(None)[1] == []


def test_a_face_is_drawn_through_all_68_points_with_closed_eyes_and_lips() -> None:
    points = np.arange(136, dtype=np.float32).reshape(68, 2) / 1000
    x, y = landmark_paths(points)
    assert {i for contour in CONTOURS for i in contour} == set(range(68))
    assert len(x) == len(y) == 68 + 4 + len(CONTOURS) - 1
    assert x[:18] == [round(0.002 * i, 3) for i in range(17)] + [None]
    assert [i for i, value in enumerate(x) if value is None] == [i for i, value in enumerate(y) if value is None]
    assert x[-1] == x[-9] == 0.12


def test_imputed_frames_are_drawn_hollow_in_both_panels(motion: Motion) -> None:
    figure, frames = plot_landmarks(motion)
    hollow = [trace.marker.symbol == "circle-open" for trace in figure.data]
    assert hollow == [False, True, False, True]
    for frame, lost in ((frames[0], False), (frames[1], True)):
        assert [len(data["x"]) > 1 for data in frame["data"]] == [is_hollow == lost for is_hollow in hollow]


def test_frames_and_slider_agree_and_frames_hold_data_only(motion: Motion) -> None:
    figure, frames = plot_landmarks(motion)
    (slider,) = figure.layout.sliders
    assert [step.args[0][0] for step in slider.steps] == [frame["name"] for frame in frames]
    assert [step.label for step in slider.steps[:3]] == ["0.00", "0.04", "0.08"]
    assert {key for frame in frames for data in frame["data"] for key in data} == {"x", "y"}
    assert figure.layout.updatemenus[0].buttons[0].args[1]["frame"]["duration"] == pytest.approx(40)


def test_a_long_animation_stays_small(motion: Motion) -> None:
    figure, frames = plot_landmarks(motion)
    assert len(frames) == MAX_FRAMES
    assert len(figure.to_json()) + len(json.dumps(frames)) < 600_000


def test_text_from_a_report_cannot_become_markup(two_people: Report) -> None:
    for figure in (plot_timeline(two_people), plot_matrix(two_people)):
        drawn = figure.to_json().encode().decode("unicode_escape")
        assert "&lt;img" in drawn
        assert not re.search("<(?!br>)", drawn)


def test_colours_read_on_light_and_on_dark() -> None:
    for colour in {*style.BANDS.values(), *(colour for colour, _ in style.LOOKS), style.GREY}:
        assert min(contrast(colour, "#FFFFFF"), contrast(colour, "#27272A")) >= 3, colour
    for fill in (*style.SKIPPED, *(colour for _, colour in style.PROBABILITIES)):
        assert contrast(fill, style.ON_FILL) >= 4.5, fill


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two #RRGGBB colours, 1 to 21."""
    darker, lighter = sorted(luminance(colour) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    srgb = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
