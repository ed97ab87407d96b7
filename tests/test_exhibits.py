"""From where a network looked to what a person is shown: the right moment, the right place in the frame, safe words."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from analysis import exhibits
from analysis.exhibits import exhibit, explain, occlusions, telling
from core.contract import MAX_CELLS, as_json
from core.settings import Settings
from core.types import (
    Contributions,
    Crops,
    Exhibit,
    Face,
    Label,
    Occlusion,
    Options,
    Person,
    Quality,
    Report,
    Saliency,
    Scores,
    Skipped,
    Track,
    Verdict,
    Video,
)
from core.weights import Calibration, Weights
from detectors import Choice
from detectors.xception import Xception
from plots.heatmaps import crop_on_frame, draw_on_crop, draw_on_frame, heat_on_frame, hottest, size_px
from preprocessing.alignment import open_cutter
from tests.clips import portrait
from ui.exhibits import gallery, occlusion_table

TAG = '<img src=x onerror="alert(1)">'
SHAPE = np.random.default_rng(1).uniform(-40, 40, (68, 2))


def track(frames: int = 3, crops: Any = None) -> Track:
    """A face that moves 10 px to the right with each frame."""
    landmarks = (SHAPE + 150 + 10 * np.arange(frames)[:, None, None] * np.array([1, 0])).astype(np.float32)
    return Track(
        id=1,
        index=np.arange(frames),
        time_s=np.arange(frames) / 10,
        boxes=np.zeros((frames, 4), np.float32),
        landmarks=landmarks,
        seen=np.ones(frames, bool),
        crop=np.zeros((frames, 3), np.float32),
        calibrated=landmarks,
        starts=np.array([0]),
        quality=Quality(1, 0, 1, 10, 0, 0),
        thumbnail=np.zeros((2, 2, 3), np.uint8),
        crops=crops or {},
    )


def scores(*fake: float, weights: str = "xception/w", detector: str = "xception") -> Scores:
    values = np.array(fake, np.float32)
    return Scores(detector, "entire", 1, weights, np.arange(len(fake)) / 10, values, float(values.mean()))


def weights(id: str, slope: float | None = 1.0) -> Weights:
    known = None if slope is None else Calibration(slope, 0.0, ((0.0, 0.0), (0.0, 0.0)), 0.0, "made up", 10)
    return Weights(id, "xception", "entire", "manual", (), "", True, False, "", "", {}, known, None)


def scenes(image: np.ndarray, index: int) -> Crops:
    rule = exhibits.SCENE
    ((crop,),) = open_cutter(rule).push(image, Face(np.zeros(4, np.float32), np.zeros((68, 2), np.float32)))
    return Crops(np.array([index]), crop.image[None], crop.to_frame[None].astype(np.float32))


def saliency(index: int, heat: np.ndarray) -> Saliency:
    """A crop of 100 px from x 100 to 200 and y 120 to 220 of the frame."""
    to_frame = np.array([[1.0, 0.0, 100.0], [0.0, 1.0, 120.0]])
    return Saliency(index, index / 10, 0.8, np.zeros((100, 100, 3), np.uint8), to_frame, heat)


def spot(row: int, column: int) -> np.ndarray:
    heat = np.zeros((10, 10), np.float32)
    heat[row, column] = 0.8
    return heat


def shown(**changes: Any) -> Exhibit:
    made = exhibit(scores(0.8), track(), saliency(0, spot(2, 7)), scenes(portrait(), 0))
    return replace(made, **changes)


def test_the_moments_that_scored_highest_are_shown_in_order_of_time() -> None:
    assert telling(scores(0.1, 0.9, 0.5, 0.9, 0.2), 2) == [1, 3]
    assert telling(scores(0.3, 0.7, 0.5), 2) == [1, 2]
    assert telling(scores(0.3), 3) == [0]


def test_the_small_frame_is_never_enlarged_and_leads_back_to_the_frame() -> None:
    wide = scenes(np.zeros((540, 960, 3), np.uint8), 0)
    assert wide.images.shape == (1, 216, 384, 3)
    np.testing.assert_allclose(wide.to_frame[0] @ (191.5, 107.5, 1), (479.5, 269.5), atol=1e-3)
    small = scenes(np.zeros((90, 160, 3), np.uint8), 0)
    assert small.images.shape == (1, 90, 160, 3)
    np.testing.assert_allclose(small.to_frame[0], np.eye(3)[:2], atol=1e-6)


def test_heat_lands_on_its_place_in_the_frame() -> None:
    """Cell (2, 7) of 10 is centred at x 174.5, y 144.5 of the frame of 512 px, which is shown in 384."""
    made = shown()
    heat = heat_on_frame(made)
    assert heat.shape == (384, 384)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert (x, y) == pytest.approx((174.5 * 0.75, 144.5 * 0.75), abs=1)
    assert heat.max() == pytest.approx(0.8, abs=0.1)
    corners = crop_on_frame(made)
    np.testing.assert_allclose(corners[[0, 2]], [(74.6, 89.6), (149.6, 164.6)], atol=0.5)
    outside = np.ones_like(heat, bool)
    outside[88:167, 73:152] = False
    assert (heat[outside] == 0).all()


def test_where_the_very_frame_was_not_kept_the_heat_moves_with_the_face() -> None:
    made = exhibit(scores(0.8), track(), saliency(0, spot(2, 7)), scenes(portrait(), 2))
    heat = heat_on_frame(made)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert (x, y) == pytest.approx((194.5 * 0.75, 144.5 * 0.75), abs=1)


def test_what_is_drawn_is_clear_where_it_is_cold() -> None:
    made = shown()
    for png, side_px in ((draw_on_crop(made), 192), (draw_on_frame(made), 384)):
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        assert image.shape == (side_px, side_px, 4)
        assert image[-1, -1, 3] == 0
    on_crop = cv2.imdecode(np.frombuffer(draw_on_crop(made), np.uint8), cv2.IMREAD_UNCHANGED)
    y, x = np.unravel_index(on_crop[..., 3].argmax(), on_crop.shape[:2])
    assert (x, y) == pytest.approx((144, 48), abs=10)
    assert size_px(made.frame) == (384, 384)


@pytest.mark.parametrize(("cell", "words"), [((0, 0), "upper left"), ((5, 5), "middle"), ((9, 5), "lower middle")])
def test_the_hottest_place_is_said_in_words(cell: tuple[int, int], words: str) -> None:
    assert hottest(shown(heat=spot(*cell))) == words
    assert hottest(shown(heat=np.zeros((3, 3), np.float32))) is None


def test_hiding_a_region_moves_the_fused_score_by_what_the_methods_that_saw_it_say() -> None:
    known = {id: weights(id) for id in ("xception/w", "capsule/w")}
    plain, fallen = scores(0.8, 0.8), scores(0.3, 0.3)
    blind = scores(0.7, weights="capsule/w", detector="capsule")
    seeing = dict.fromkeys(("entire", "eyes", "nose", "rest"), plain) | {"mouth": fallen}
    same = dict.fromkeys(("entire", "eyes", "nose", "mouth", "rest"), blind)
    rows = {row.region: row for row in occlusions(1, [seeing, same], known, {})}
    assert list(rows) == ["eyes", "nose", "mouth", "rest"]
    assert rows["mouth"].hidden < rows["mouth"].fake
    assert rows["eyes"].hidden == rows["eyes"].fake == rows["mouth"].fake
    assert rows["mouth"].moved == {"xception/w": pytest.approx(-0.5), "capsule/w": 0}
    (alone,) = [row for row in occlusions(1, [seeing], known, {}) if row.region == "mouth"]
    assert (alone.fake, alone.hidden) == pytest.approx((0.8, 0.3), abs=1e-6)


class Pretended(Xception):
    """Explains the whole of each moment and cannot see regions."""

    def __init__(self) -> None:
        pass

    def explain(self, track: Track, scores: Scores, moments: Any) -> list[Saliency]:
        return [saliency(moment, spot(1, 1)) for moment in moments]

    def hide(self, track: Track, scores: Scores, moments: Any) -> dict[str, Scores]:
        return {}


def test_skipped_methods_and_missing_pictures_show_nothing_and_end_nothing() -> None:
    def open(*asked: Any) -> Any:
        return Pretended()

    choice = Choice(Xception.card, weights("xception/w"), None)
    skipped = Skipped("xception", "eyes", 1, "Too dark.", "xception/w")
    settings, said = Settings.from_env({}), []
    pictured = track(crops={exhibits.scene_look("standard"): scenes(portrait(), 0)})
    answers = [skipped, scores(0.1, 0.9, 0.5)]
    found, hidden = explain([pictured], answers, [choice], {}, settings, "standard", said.append, open=open)
    assert [made.time_s for made in found] == [0.1, 0.2]
    assert hidden == []
    assert [progress.stage.split(":")[-1] for progress in said] == [" person 1"] * 2
    assert explain([track()], answers, [choice], {}, settings, "standard", open=open) == ([], [])


def report(*made: Exhibit, hidden: tuple[Occlusion, ...] = ()) -> Report:
    verdict = Verdict(Label.SOME_SIGNS, 0.7, (0.5, 0.8), 1.0, "")
    people = tuple(Person(id, 0.0, 1.0, 10, 100.0, verdict, Quality(1, 0, 1, 25, 0, 0)) for id in (1, 2))
    video = Video("0" * 64, "a.mp4", 10.0, 250, 250, 25.0, 640, 480, "h264", 0)
    return Report(
        *("r", "2025-01-01T00:00:00+00:00", "0", "f", Options(()), video, verdict, people, (), (), {}, "cpu"),
        exhibits=made,
        occlusions=hidden,
    )


def test_the_gallery_shows_one_person_and_one_method_when_asked_and_says_it_is_no_proof() -> None:
    both = report(shown(), shown(track_id=2), shown(weights="xception/other"))
    page = str(gallery(both, 1))
    assert page.count("<figure") == page.count("Where this method looked, not proof.") == 2
    assert "Person 1" in page
    assert "Person 2" not in page
    assert "0:00.0 · score 0.80" in page.replace("\n", " ")
    assert "hottest in the upper right of the crop" in page
    assert str(gallery(both, 1, "xception/other")).count("<figure") == 1
    assert "http" not in page, "pictures are in the page itself"
    assert gallery(report(), 1) == ""


def test_the_gallery_escapes_what_a_report_holds() -> None:
    evil = shown(detector=TAG, region=TAG, weights=TAG)
    rows = tuple(Occlusion(1, region, 0.8, 0.5, {TAG: -0.3}) for region in ("eyes", TAG))
    page = str(gallery(report(evil, hidden=rows), 1))
    assert TAG not in page
    assert page.count("&lt;img src=x") >= 4


def test_a_clip_has_its_frames_drawn_for_and_against_manipulation() -> None:
    told = Contributions((0.0, 0.04, 0.08), (1.0, -2.0, 0.5), (0.2, 0.3, 0.5), 0.1)
    page = str(gallery(report(shown(contributions=told)), 1))
    assert page.count('<rect class="for"') == 2
    assert page.count('<rect class="against"') == 1
    assert page.count("<polyline") == 1
    assert "\N{MINUS SIGN}2.00 to +1.00" in page
    assert "<polyline" not in str(gallery(report(shown(contributions=replace(told, weights=()))), 1))


def test_the_occlusion_table_has_a_row_for_all_and_one_for_each_method() -> None:
    rows = [
        Occlusion(1, region, 0.8, 0.8 - by, {"a/b": -by, "c/d": 0.0}) for region, by in (("eyes", 0.0), ("mouth", 0.25))
    ]
    page = str(occlusion_table(rows))
    assert "0.55 (\N{MINUS SIGN}0.25)" in page
    assert "0.80 (0.00)" in page
    assert "a/b alone" in page
    assert occlusion_table([]) == ""


def test_programs_get_a_coarse_map_and_no_pictures() -> None:
    fine = np.zeros((96, 96), np.float32)
    fine[95, 0] = 0.75
    row = Occlusion(1, "eyes", 0.8, 0.5, {"a/b": -0.3})
    plain = as_json(report(shown(heat=fine), hidden=(row,)))
    (made,) = plain["exhibits"]
    assert np.shape(made["heat"]) == (MAX_CELLS, MAX_CELLS)
    assert made["heat"][-1][0] == 0.75
    assert not {"crop", "frame", "to_frame"} & made.keys()
    assert (made["weights"], made["time_s"], made["score"]) == ("xception/w", 0.0, 0.8)
    assert plain["occlusions"] == [
        {"track_id": 1, "region": "eyes", "fake": 0.8, "hidden": 0.5, "moved": {"a/b": -0.3}}
    ]
    assert np.shape(as_json(report(shown()))["exhibits"][0]["heat"]) == (10, 10)
