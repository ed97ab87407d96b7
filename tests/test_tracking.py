"""Tracks keep people apart, say what they filled in, and end where the shot ends."""

import numpy as np
import pytest

from core.types import Face, Frame
from preprocessing.landmarks import overlap, yaw_deg
from preprocessing.tracking import MAX_IMPUTED, Cuts, follow, raw_in_crop

RATE_HZ = 25
NOISE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
SHAPE = np.random.default_rng(1).uniform(-0.5, 0.5, (68, 2))


def face(x, y, size=60.0):
    """A face of a fixed shape about (x, y) px."""
    landmarks = (SHAPE * size + (x, y)).astype(np.float32)
    return Face(np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)]), landmarks)


def film(people, frames, cut_at=None):
    """`people(t)` gives the faces of frame t; every frame's pixels differ a little."""
    for t in range(frames):
        yield Frame(t, t / RATE_HZ, np.roll(NOISE, t, axis=1)), people(t), t == cut_at


def tracks_of(people, frames=60, **more):
    return sorted(follow(film(people, frames, **more)), key=lambda track: track.id)


def test_two_people_who_pass_each_other_stay_two_people():
    tracks = tracks_of(lambda t: [face(60 + 3 * t, 80), face(240 - 3 * t, 130)][:: 1 if t % 2 else -1])
    assert len(tracks) == 2
    for track in tracks:
        assert np.ptp(np.diff(track.boxes[:, 0])) < 1e-3, "moves on evenly, in one direction"
        assert track.seen.all()


def test_a_short_loss_is_bridged_and_marked_as_not_seen():
    (track,) = tracks_of(lambda t: [] if 20 <= t < 25 else [face(100, 100)])
    assert len(track.time_s) == 60
    assert np.flatnonzero(~track.seen).tolist() == [20, 21, 22, 23, 24]
    np.testing.assert_array_equal(track.landmarks[22], track.landmarks[19])
    assert track.quality.imputed == pytest.approx(5 / 60)
    assert track.starts.tolist() == [0]


def test_a_longer_loss_is_never_filled_and_calibration_begins_anew():
    gap = range(20, 20 + MAX_IMPUTED + 1)
    (track,) = tracks_of(lambda t: [] if t in gap else [face(100, 100)])
    assert len(track.time_s) == 60 - len(gap)
    assert track.seen.all()
    assert track.starts.tolist() == [0, 20]
    assert track.quality.coverage == pytest.approx(49 / 60)


def test_who_returns_much_later_is_not_claimed_to_be_the_same_person():
    tracks = tracks_of(lambda t: [] if 20 <= t < 80 else [face(100, 100)], frames=120)
    assert [len(track.time_s) for track in tracks] == [20, 40]


def test_a_cut_ends_every_track():
    tracks = tracks_of(lambda t: [face(100, 100)], cut_at=30)
    assert [(track.index[0], track.index[-1]) for track in tracks] == [(0, 29), (30, 59)]


def test_a_face_elsewhere_in_the_next_frame_is_another_person():
    tracks = tracks_of(lambda t: [face(60, 60) if t < 30 else face(250, 180)])
    assert len(tracks) == 2


def test_a_face_that_grows_past_its_crop_begins_a_new_stretch():
    (track,) = tracks_of(lambda t: [face(150, 120, 50 + 0.6 * t)])
    assert len(track.starts) == 2
    assert np.abs(track.calibrated).max() < 1.3, "points stay about their crop"


@pytest.mark.parametrize(
    "people",
    [
        pytest.param(lambda t: [face(100, 100)] if t < 3 else [], id="three frames"),
        pytest.param(lambda t: [face(100, 100, 8)], id="a speck"),
        pytest.param(lambda t: [face(-20, 100)], id="outside the picture"),
        pytest.param(lambda t: [], id="nobody"),
    ],
)
def test_what_is_no_face_makes_no_track(people):
    assert tracks_of(people) == []


def test_raw_landmarks_lie_where_the_calibrated_ones_do_while_nothing_trembles():
    (track,) = tracks_of(lambda t: [face(100, 100)])
    np.testing.assert_allclose(raw_in_crop(track, slice(0, 1)), track.calibrated[:1], atol=1e-6)


def test_cuts_are_told_from_movement():
    rng = np.random.default_rng(2)
    warm, cold = (rng.integers(low, low + 60, (240, 320, 3), np.uint8) for low in (150, 10))
    cuts = Cuts()
    assert [cuts.is_cut(image) for image in (warm, np.roll(warm, 90, axis=1), cold, cold)] == [
        False,
        False,
        True,
        False,
    ]


def test_shots_of_different_people_on_one_background_are_told_apart():
    rng = np.random.default_rng(3)
    background = rng.integers(100, 130, (240, 320, 3), np.uint8)
    one, other = background.copy(), background.copy()
    one[30:, 70:250], other[30:, 70:250] = (200, 160, 140), (90, 60, 50)
    cuts = Cuts()
    assert [cuts.is_cut(image) for image in (one, one, other)] == [False, False, True]


def test_a_picture_of_another_size_is_another_scene():
    cuts = Cuts()
    assert [cuts.is_cut(image) for image in (NOISE, NOISE[:120, :160], NOISE[:120, :160])] == [False, True, False]


def test_a_hole_in_the_footage_begins_a_new_stretch():
    def film_with_a_hole():
        for frame, faces, cut in film(lambda t: [face(100, 100)], 60):
            yield Frame(frame.index, frame.time_s + (1.0 if frame.index >= 30 else 0.0), frame.image), faces, cut

    (track,) = follow(film_with_a_hole())
    assert track.starts.tolist() == [0, 30]


def test_repeated_frames_are_counted():
    frames = [(Frame(t, t / RATE_HZ, np.roll(NOISE, t // 2, axis=1)), [face(100, 100)], False) for t in range(40)]
    (track,) = follow(frames)
    assert track.quality.repeated == pytest.approx(0.5, abs=0.03)
    assert any("repeat" in warning for warning in track.quality.warnings)


def test_overlap_of_boxes():
    box = np.array([0.0, 0.0, 2.0, 2.0])
    assert overlap(box, box) == 1
    assert overlap(box, box + 1) == pytest.approx(1 / 7)
    assert overlap(box, box + 5) == 0


def test_yaw_is_zero_for_a_frontal_face_and_changes_sign_with_the_side():
    landmarks = np.zeros((3, 68, 2))
    landmarks[:, 2], landmarks[:, 14] = (0, 50), (100, 50)
    landmarks[:, 36:48, 1], landmarks[:, 48:68, 1] = 20, 80
    landmarks[:, 36:68, 0] = 50
    landmarks[:, 30, 0] = 50, 80, 20
    frontal, one, other = yaw_deg(landmarks)
    assert frontal == pytest.approx(0)
    assert one == pytest.approx(-other)
    assert abs(one) > 20
