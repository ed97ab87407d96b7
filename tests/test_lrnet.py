"""LRNet equals the authors' numbers, from landmarks and from clips, and says when it cannot look."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import NotApplicable, WeightsError
from core.settings import Settings
from core.types import Options, Quality, Track
from core.weights import load_manifest
from detectors import choices, choose, open_detector
from detectors.lrnet import blocks, cut_blocks
from preprocessing.landmarks import IBUG_68
from preprocessing.reading import read_tracks

GOLDEN = Path(__file__).parent / "golden"
BLOCKS = np.load(GOLDEN / "lrnet_blocks.npz")
FACEMESH = np.load(GOLDEN / "lrnet_facemesh.npz")
MANIFEST = load_manifest()
CLIPS = ("dfo_fake", "dfo_real", "ff_fake", "ff_real")


@pytest.fixture(scope="module")
def published(shared):
    """The published sets by name, opened through the manifest."""
    settings = Settings.from_env({"TELLTALE_WEIGHTS": str(shared / "weights")})
    offered = choices(MANIFEST, settings)
    return {name: open_detector(choose((f"lrnet/{name}",), offered)[0], settings, "cpu") for name in ("dfo", "ffpp")}


def track(frames=300, rate=25.0, starts=(0,), lost=(), repeated=0.0, landmarks=None) -> Track:
    """A track whose landmarks move a little."""
    if landmarks is None:
        landmarks = np.random.default_rng(0).normal(0, 0.3, (frames, 68, 2)).astype(np.float32)
    frames = len(landmarks)
    seen = np.ones(frames, bool)
    seen[list(lost)] = False
    return Track(
        id=1,
        index=np.arange(frames),
        time_s=np.arange(frames) / rate,
        boxes=np.zeros((frames, 4), np.float32),
        landmarks=landmarks,
        seen=seen,
        crop=np.tile(np.float32([0, 0, 100]), (frames, 1)),
        calibrated=landmarks,
        starts=np.array(starts),
        quality=Quality(100.0, 0.0, 1.0, rate, repeated, 0.0),
        thumbnail=np.zeros((4, 4, 3), np.uint8),
    )


@pytest.mark.shared
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", ["dfo", "ffpp"])
def test_published_landmarks_give_the_published_scores(published, shared, name, clip):
    landmarks = np.loadtxt(shared / "landmarks" / f"{clip}.txt").reshape(-1, 68, 2).astype(np.float32)
    points, differences = published[name].streams(cut_blocks(landmarks))
    np.testing.assert_allclose(points, BLOCKS[f"{name}/{clip}/g1"], atol=1e-4)
    np.testing.assert_allclose(differences, BLOCKS[f"{name}/{clip}/g2"], atol=1e-4)
    scores = published[name].score(track(landmarks=landmarks))
    assert scores.vote == BLOCKS[f"{name}/{clip}/video_score"]
    assert scores.overall == pytest.approx(float(BLOCKS[f"{name}/{clip}/mean_merged"]), abs=1e-4)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["dfo", "ffpp"])
def test_stored_facemesh_landmarks_give_the_published_scores(published, name):
    landmarks = ((FACEMESH["dfo_real91/tracked"] - 200) / 200).astype(np.float32)
    assert published[name].score(track(landmarks=landmarks)).fake == pytest.approx(
        FACEMESH[f"dfo_real91/{name}/merged"], abs=1e-4
    )


@pytest.fixture(scope="module")
def read(shared, tmp_path_factory):
    """The person in the foreground of a clip, read once by the app's own path."""
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path_factory.mktemp("data"))})
    known: dict[str, Track] = {}

    def of(clip: str) -> Track:
        if clip not in known:
            reading = read_tracks(
                shared / "clips" / f"{clip}.mp4",
                name=clip,
                sha256="",
                options=Options(()),
                settings=settings,
                manifest=MANIFEST,
            )
            known[clip] = max(reading.tracks, key=lambda track: np.ptp(track.landmarks[0, :, 0]))
        return known[clip]

    return of


@pytest.mark.shared
@pytest.mark.parametrize("clip", [*CLIPS, "000_003"])
@pytest.mark.parametrize("name", ["dfo", "ffpp"])
def test_clips_give_the_published_scores_through_the_whole_path(published, read, name, clip):
    scores = published[name].score(read(clip))
    wanted = FACEMESH[f"{name}/{clip}/merged"]
    assert len(scores.fake) == len(wanted)
    assert scores.overall == pytest.approx(float(wanted.mean()), abs=0.1)


@pytest.mark.shared
def test_facemesh_points_are_the_stored_ones(read):
    found = read("dfo_real")
    np.testing.assert_array_equal(IBUG_68, FACEMESH["index_468_to_68"])
    np.testing.assert_allclose(found.landmarks[:91], FACEMESH["dfo_real91/px68"], atol=1.0)
    np.testing.assert_array_equal(found.crop[:91, :2], FACEMESH["dfo_real91/box"][:, :2])


@pytest.mark.parametrize(("frames", "count"), [(30, 0), (31, 1), (60, 1), (61, 2), (91, 3)])
def test_the_last_frame_never_completes_a_block(frames, count):
    assert cut_blocks(np.zeros((frames, 68, 2))).shape == (count, 30, 136)


def test_blocks_never_run_across_a_break_and_carry_the_time_of_their_middle():
    sequences, time_s = blocks(track(frames=200, starts=(0, 45)))
    assert len(sequences) == 1 + 5
    np.testing.assert_allclose(time_s[:2], [14.5 / 25, (45 + 14.5) / 25])


def test_blocks_with_many_repeated_landmarks_are_left_out():
    sequences, _ = blocks(track(frames=151, lost=range(33, 40)))
    assert len(sequences) == 4


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (track(frames=90), "91 consecutive frames of one face are needed, 90 were found"),
        (track(frames=170, starts=(0, 85)), "91 consecutive frames of one face are needed, 85 were found"),
        (track(rate=12.0), "20 to 35 frames a second are needed, the clip has 12.0"),
        (track(rate=60.0), "the clip has 60.0"),
        (replace(track(), crop=np.tile(np.float32([0, 0, 40]), (300, 1))), "too small to read its movement: 40 px"),
        (track(repeated=0.5), "50% of the frames repeat"),
        (track(frames=121, lost=range(0, 121, 4)), "lost too often"),
        (replace(track(), time_s=np.cumsum(np.tile([0.01, 0.07], 150))), "unevenly spaced"),
    ],
)
def test_it_says_why_it_cannot_look(made, sentence):
    with pytest.raises(NotApplicable, match=sentence):
        blocks(made)


def test_a_set_of_weights_that_is_absent_is_offered_with_the_command_that_brings_it(tmp_path):
    offered = choices(MANIFEST, Settings.from_env({"TELLTALE_DATA": str(tmp_path)}))
    absent = next(c for c in offered if c.weights.id == "lrnet/ffpp")
    assert not absent.ready
    with pytest.raises(WeightsError, match=r"python -m core\.weights fetch lrnet/ffpp"):
        choose(("lrnet/ffpp",), offered)
