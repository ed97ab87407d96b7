"""Labelled clips become landmark tracks: as they are, and as other encoders, frame sizes and rates would have them.

A detector that is trained on each clip in all of these forms cannot tell genuine from manipulated by the form.
"""

import csv
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import cv2
import numpy as np
from tqdm import tqdm

from core.errors import InputError
from core.settings import Settings
from core.types import Crops, Frame, Options, Quality, Track
from core.weights import load_manifest
from preprocessing.cropping import Look
from preprocessing.reading import read_tracks
from preprocessing.video import Tally, decode
from training.measures import Labels

log = logging.getLogger(__name__)

CACHE_FORMAT = 1
"""Raise it when tracks come out differently than before: old caches are then read anew."""
FAST_HZ = 35.0
"""Faster clips are brought to half their rate in the re-encoded forms; LRNet reads 20 to 35."""
SLOW_HZ = 20.0
PARTIAL = ".partial"
"""The end of the name of a file that is being written."""

READ = Options(detectors=(), thoroughness="thorough")
UNLIMITED: dict[str, float] = {"max_mb": 1e6, "max_seconds": 1e5, "max_side_px": 8192}
"""The limits of the page protect it from its visitors; one's own data sets may be larger."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A row of the list: `fake` the label; `identity` and `pair` empty where unknown."""

    path: Path
    fake: bool
    family: str
    identity: str
    pair: str
    origin: str
    face_width_px: float
    sha256: str


@dataclass(frozen=True, slots=True)
class Form:
    """How a clip is put before the landmark finder; the defaults leave it as it is.

    `scale` of the picture; `face_px` the most that a face may be wide; `thinned` drops every fifth frame where at
    least 20 a second remain; `crf` the quality of H.264, higher is worse.
    """

    scale: float = 1.0
    face_px: float = float("inf")
    thinned: bool = False
    crf: int | None = None


FORMS: dict[str, Form] = {
    "original": Form(),
    "encoded": Form(crf=32),
    "half": Form(scale=0.5, crf=24),
    "small": Form(face_px=96, thinned=True, crf=28),
}
WORSE = "half size, crf 30"
SWEEP: dict[str, Form] = {
    "crf 20": Form(crf=20),
    "crf 28": Form(crf=28),
    "crf 36": Form(crf=36),
    WORSE: Form(scale=0.5, crf=30),
}
"""What other encoders and platforms do to a clip, to measure what a detector survives; the frame rate stays. Nothing is
trained on these forms."""
ALL_FORMS = FORMS | SWEEP
MORE_FORMS = ("original", "small", WORSE)
"""Of clips that are small already."""


def read_clips(listing: Path) -> list[Clip]:
    """The clips of a CSV whose paths are relative to its folder.

    Raises:
        InputError: a listed file is absent.
    """
    with listing.open(newline="", encoding="utf-8") as stream:
        clips = [
            Clip(
                path=listing.parent / row["file"],
                fake=row["label"] == "fake",
                family="genuine" if row["label"] == "real" else row["family"],
                identity=row["identity"],
                pair=row["pair"],
                origin=row["origin_repo"],
                face_width_px=float(row["face_width_px"]),
                sha256=row["sha256"],
            )
            for row in csv.DictReader(stream)
        ]
    absent = [c for c in clips if not c.path.is_file()]
    if absent:
        raise InputError(f"{len(absent)} of {len(clips)} clips of {listing.name} are not beside it.")
    return clips


def groups(clips: Sequence[Clip]) -> list[int]:
    """A number for each clip: the same for clips that share an origin, identity or pair, even by way of others."""
    names = ("origin", "identity", "pair")
    return linked([{(name, value) for name in names if (value := getattr(clip, name))} for clip in clips])


def linked(bonds: Sequence[Iterable[Hashable]]) -> list[int]:
    """A number for each of several: the same for those that have a bond in common, even by way of others."""
    parent = list(range(len(bonds)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[Hashable, int] = {}
    for i, mine in enumerate(bonds):
        for bond in mine:
            parent[root(i)] = root(first.setdefault(bond, i))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(bonds))]


def labels_of(clips: Sequence[Clip]) -> Labels:
    """What a list says of its clips, as the measures want it."""
    return Labels(
        fake=np.array([c.fake for c in clips]),
        group=np.array(groups(clips)),
        width_px=np.array([c.face_width_px for c in clips]),
        family=np.array([c.family for c in clips]),
        pair=np.array([c.pair for c in clips]),
    )


def facts(clip: Clip) -> tuple[float, float]:
    """Bytes of the file per pixel of all its frames, and frames a second; NaN where the container does not say."""
    with av.open(str(clip.path)) as container:
        video = container.streams.video[0]
        pixels, rate_hz = video.frames * video.width * video.height, video.average_rate
    return clip.path.stat().st_size / pixels if pixels else np.nan, float(rate_hz) if rate_hz else np.nan


def extract(
    clips: Sequence[Clip], forms: Iterable[str], cache: Path, settings: Settings, looks: Sequence[Look] = ()
) -> list[tuple[str, str, str]]:
    """Reads into `cache` every clip in every named form that is not there; gives (file, form, reason) of all failures.

    With `looks`, their crops too.

    Each answer, a failure too, is one file that appears when it is complete, so a killed run goes on where it was.
    """
    cache.mkdir(parents=True, exist_ok=True)
    wanted = [(clip, name) for name in forms for clip in clips]
    missing = [(clip, name) for clip, name in wanted if not _file(cache, clip, name, looks).exists()]
    for clip, name in tqdm(missing, unit="clip", desc=f"{len(wanted) - len(missing)} of {len(wanted)} cached"):
        try:
            answer = _with_crops(_read(clip, name, cache, settings, looks))
        except InputError as error:
            answer = {"failure": np.array(str(error))}
        write_whole(_file(cache, clip, name, looks), saved(answer))
    answers = ((clip.path.name, name, load(cache, clip, name, looks)) for clip, name in wanted)
    return [(file, name, answer) for file, name, answer in answers if isinstance(answer, str)]


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """n clips: labels `fake` bool (n,), sources `group` int (n,), and whether they are of the first list, bool (n,),
    whose clips are read in all forms.

    `readings` holds, per clip and form, the track, or the sentence that says why there is none.
    """

    clips: Sequence[Clip]
    fake: np.ndarray
    group: np.ndarray
    measured: np.ndarray
    readings: Sequence[Mapping[str, Track | str]]

    @property
    def labels(self) -> Labels:
        """What the lists say of the clips."""
        return labels_of(self.clips)

    def tracks(self, i: int) -> dict[str, Track]:
        """Those forms of clip `i` in which a face was found."""
        return {form: track for form, track in self.readings[i].items() if isinstance(track, Track)}


def gather(clips: Sequence[Clip], more: Sequence[Clip], cache: Path) -> Collection:
    """Both lists as they were extracted; grouped together, since a source may appear in both.

    Raises:
        FileNotFoundError: a clip was not extracted in every form.
    """
    everything = [*clips, *more]
    return Collection(
        clips=everything,
        fake=np.array([c.fake for c in everything]),
        group=np.array(groups(everything)),
        measured=np.arange(len(everything)) < len(clips),
        readings=[
            *({form: load(cache, clip, form) for form in ALL_FORMS} for clip in clips),
            *({form: load(cache, clip, form) for form in MORE_FORMS} for clip in more),
        ],
    )


def load(cache: Path, clip: Clip, form: str, looks: Sequence[Look] = ()) -> Track | str:
    """The extracted track, or the sentence that says why there is none.

    Raises:
        FileNotFoundError: this form of the clip was not extracted.
    """
    with np.load(_file(cache, clip, form, looks)) as arrays:
        if "failure" in arrays:
            return str(arrays["failure"])
        crops: dict[Hashable, Crops] = {
            look: Crops(**{name: arrays[f"{i} {name}"] for name in _CROPS})
            for i, look in enumerate(looks)
            if f"{i} index" in arrays
        }
        return as_track(arrays, crops)


def as_arrays(track: Track) -> dict[str, np.ndarray]:
    """All of a track but its crops and its thumbnail, to be written."""
    quality = np.array([getattr(track.quality, name) for name in _MEASURES], np.float64)
    return {name: getattr(track, name) for name in _SERIES} | {"quality": quality}


def as_track(arrays: Mapping[str, np.ndarray], crops: Mapping[Hashable, Crops]) -> Track:
    """The track of which these are the arrays, with these crops."""
    quality = Quality(**dict(zip(_MEASURES, arrays["quality"].tolist(), strict=True)))
    series = {name: arrays[name] for name in _SERIES}
    return Track(id=1, quality=quality, thumbnail=np.zeros((1, 1, 3), np.uint8), crops=crops, **series)


_SERIES = ("index", "time_s", "boxes", "landmarks", "seen", "crop", "calibrated", "starts")
_CROPS = tuple(f.name for f in fields(Crops))
_MEASURES = tuple(f.name for f in fields(Quality) if f.name != "warnings")


def _read(clip: Clip, name: str, cache: Path, settings: Settings, looks: Sequence[Look]) -> Track:
    form = ALL_FORMS[name]
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        path = clip.path
        if form.crf is not None:
            path = Path(folder) / "clip.mp4"
            encode(clip, form, path, settings, any_rate=name in SWEEP)
        reading = read_tracks(
            path, name="", sha256=clip.sha256, options=READ, settings=settings, manifest=load_manifest(), looks=looks
        )
    if not reading.tracks:
        raise InputError("No face was found.")
    return most_in_view(reading.tracks)


def most_in_view(tracks: Sequence[Track]) -> Track:
    """The person seen longest and largest; labels do not say who of several was manipulated."""
    return max(tracks, key=lambda t: float((np.ptp(t.landmarks[:, :, 0], axis=1) * t.seen).sum()))


def encode(clip: Clip, form: Form, target: Path, settings: Settings, *, any_rate: bool = False) -> None:
    """Writes the clip's pictures in this form; with `any_rate`, at a rate that LRNet does not read too.

    Raises:
        InputError: the file cannot be decoded.
    """
    try:
        with av.open(str(clip.path)) as source:
            rate = float(source.streams.video[0].average_rate or 25)
    except (av.FFmpegError, IndexError) as error:
        raise InputError("This is not a video that can be read.") from error
    kept, rate = ((True,), rate) if any_rate else keep(rate, thinned=form.thinned)
    scale = min(form.scale, form.face_px / clip.face_width_px)
    with av.open(str(target), "w") as container:
        stream = None
        for frame in _every(decode(clip.path, Tally(), settings=settings), kept):
            height, width = (max(2, round(side * scale / 2) * 2) for side in frame.image.shape[:2])
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = {"crf": str(form.crf), "preset": "veryfast", "threads": "1"}
            image = cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        if stream is None:
            raise InputError("No picture in this file could be decoded.")
        container.mux(stream.encode())


def keep(rate_hz: float, *, thinned: bool) -> tuple[tuple[bool, ...], float]:
    """Which frames of a repeating pattern stay, and the rate they have then."""
    if rate_hz > FAST_HZ:
        return (True, False), rate_hz / 2
    if thinned and rate_hz * 0.8 >= SLOW_HZ:
        return (True, True, True, True, False), rate_hz * 0.8
    return (True,), rate_hz


def _every(frames: Iterable[Frame], kept: Sequence[bool]) -> Iterator[Frame]:
    return (frame for frame in frames if kept[frame.index % len(kept)])


def _with_crops(track: Track) -> dict[str, np.ndarray]:
    crops = {
        f"{i} {name}": getattr(seen, name) for i, seen in enumerate(track.crops.values()) for name in _CROPS
    }  # a look of which nothing could be cut is not among them, but then none is: all of ours cut any face
    return as_arrays(track) | crops


def _file(cache: Path, clip: Clip, form: str, looks: Sequence[Look]) -> Path:
    """Named by what determines it, so that a changed clip or recipe is never mistaken for the old one."""
    determined_by = f"{CACHE_FORMAT} {clip.sha256} {form} {ALL_FORMS[form]}{' '.join(map(str, looks))}"
    recipe = hashlib.sha256(determined_by.encode()).hexdigest()
    return cache / f"{recipe[:24]}.npz"


def saved(arrays: Mapping[str, np.ndarray]) -> Callable[[IO[bytes]], None]:
    """Writes these arrays, compressed, into the file it is given."""
    return lambda file: np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # NumPy 1.26 types no keywords


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """The file appears when it is complete; a killed run leaves at most a `.partial` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=PARTIAL, delete=False) as file:
        write(file)
    os.replace(file.name, path)
