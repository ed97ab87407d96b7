"""A file becomes the tracks of everyone in it: decoded once, with decoding, landmarks and calibration side by side."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from core.settings import Settings
from core.types import Face, Frame, Likeness, Options, Progress, Track, Video
from core.weights import Weights
from core.words import say
from preprocessing.ahead import ahead
from preprocessing.changes import Change, unchanged
from preprocessing.cropping import Look
from preprocessing.landmarks import LandmarkBackend, open_landmarks
from preprocessing.likeness import Watcher
from preprocessing.tracking import Cuts, follow
from preprocessing.video import Tally, decode, probe

LOOK_S = {"fast": 10.0, "standard": 60.0, "thorough": float("inf")}
"""How much of a video is looked at, from its beginning, by thoroughness."""
REPORT_EVERY_S = 0.2
"""Between two reports of progress; a cancelled analysis stops at the next."""

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """The faces of a video, what it looks like as a whole, and what a person should know of how it was read."""

    video: Video
    tracks: list[Track]
    likeness: Likeness
    warnings: list[str]


def read_tracks(
    path: Path,
    *,
    name: str,
    sha256: str,
    options: Options,
    settings: Settings,
    manifest: Mapping[str, Weights],
    looks: Sequence[Look] = (),
    change: Change = unchanged,
    on_progress: OnProgress = lambda progress: None,
) -> Reading:
    """Everyone in the file, in order of appearance, with the crops that `looks` ask for.

    Args:
        change: made to the frames before anything looks at them.

    Raises:
        InputError: not a video this page takes.
        WeightsError: the landmark backend is not ready.
    """
    on_progress(Progress(say("stages.opening"), 0.0))
    video = probe(path, name=name, sha256=sha256, settings=settings)
    until_s = LOOK_S[options.thoroughness]
    tally, watcher = Tally(), Watcher()
    decoded = decode(path, tally, settings=settings, until_s=until_s)
    with (
        closing(open_landmarks(options.landmarks, manifest, settings)) as landmarks,
        closing(ahead(_mark_cuts(watcher.watch(change(decoded))))) as frames,
        closing(ahead(_find_faces(frames, landmarks))) as found,
    ):
        tracks = sorted(
            follow(_reporting(found, min(video.duration_s, until_s), on_progress), looks), key=lambda t: t.id
        )
    duration_s = tally.end_s if tally.is_complete else max(video.duration_s, tally.end_s)
    return Reading(
        video=replace(video, frames_decoded=tally.frames, duration_s=duration_s),
        tracks=tracks,
        likeness=watcher.likeness(),
        warnings=_warnings(video, tally, until_s),
    )


_Found = tuple[Frame, list[Face], bool]


def _mark_cuts(frames: Iterator[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Beside decoding and not beside the landmarks, which take longest and so set the pace."""
    cuts = Cuts()
    for frame in frames:
        yield frame, cuts.is_cut(frame.image)


def _find_faces(frames: Iterator[tuple[Frame, bool]], landmarks: LandmarkBackend) -> Iterator[_Found]:
    for frame, cut in frames:
        if cut:
            landmarks.reset()
        yield frame, landmarks.find(frame.image), cut


def _reporting(found: Iterator[_Found], length_s: float, on_progress: OnProgress) -> Iterator[_Found]:
    last = float("-inf")
    for frame, faces, cut in found:
        if time.monotonic() - last >= REPORT_EVERY_S:
            last = time.monotonic()
            stage = say("stages.following", time=f"{frame.time_s:.1f} s", count=len(faces))
            on_progress(Progress(stage, min(1.0, frame.time_s / max(length_s, 1e-3))))
        yield frame, faces, cut


def _warnings(video: Video, tally: Tally, until_s: float) -> list[str]:
    warnings = []
    if not tally.is_complete:
        warnings.append(f"Only the first {until_s:.0f} s were looked at; choose a higher thoroughness for more.")
    elif video.frames and video.frames != tally.frames:
        warnings.append(f"The file claims {video.frames} frames; {tally.frames} could be decoded.")
    if tally.late:
        warnings.append(f"{tally.late} frames with times out of order were left out.")
    if tally.broken:
        warnings.append(f"{tally.broken} damaged pieces of the file were passed over.")
    return warnings
