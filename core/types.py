"""The records that flow through the app, in the order in which a video becomes a report.

Conventions, true everywhere: images are RGB uint8; pixels run x right, y down from the top-left corner; boxes are
x1 y1 x2 y2; time is the presentation time in seconds, never index / fps; left and right are the subject's; every
probability is P(fake), 1 = manipulated. Shapes: T frames of a track, N scores.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Literal

import numpy as np

LANDMARKS = 68
"""Points of a face, in the order of the iBUG 300-W annotation."""


class Label(StrEnum):
    """The five bands of a verdict. None of them says "real"."""

    STRONG_SIGNS = "strong_signs"
    SOME_SIGNS = "some_signs"
    INCONCLUSIVE = "inconclusive"
    NO_SIGNS = "no_signs"
    NOT_ASSESSED = "not_assessed"


Thoroughness = Literal["fast", "standard", "thorough"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the person asked for.

    `detectors` are names, or `name/set` for one particular set of weights; none of them, or of the regions, means all
    that are ready. `landmarks` names the landmark backend.
    """

    detectors: tuple[str, ...]
    regions: tuple[str, ...] = ()
    thoroughness: Thoroughness = "standard"
    landmarks: str = "facemesh"


@dataclass(frozen=True, slots=True)
class Video:
    """The uploaded file, as its container describes it and as it decoded.

    `frames` is the container's claim (None where it makes none), `frames_decoded` what came out; `rotation` is the
    clockwise turn in degrees that was applied; width and height are those of the turned picture.
    """

    sha256: str
    name: str
    duration_s: float
    frames: int | None
    frames_decoded: int
    fps: float
    width: int
    height: int
    codec: str
    rotation: int


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture: image uint8 (H, W, 3) RGB."""

    index: int
    time_s: float
    image: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in one frame: box float32 (4,) px; landmarks float32 (68, 2) px; confidence in [0, 1]."""

    box: np.ndarray
    landmarks: np.ndarray
    confidence: float = 1.0

    def __post_init__(self) -> None:
        _check("box", self.box, (4,))
        _check("landmarks", self.landmarks, (LANDMARKS, 2))


@dataclass(frozen=True, slots=True)
class Quality:
    """Can this face be judged? `yaw_deg` is the median absolute turn of the head.

    `sharpness` is the median variance of the Laplacian of the face scaled to 128 px, in grey levels squared (below
    about 20: blurred); `coverage` the share of the track's time span in which the face was seen; `frame_rate_hz` the
    median; `repeated` and `imputed` are shares of the frames in [0, 1].
    """

    sharpness: float
    yaw_deg: float
    coverage: float
    frame_rate_hz: float
    repeated: float
    imputed: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """What one look saw of a track: n crops in order of time.

    `index` int64 (n,) into the track, repeated where a frame gives several crops; `images` uint8 (n, s, s, 3) RGB;
    `to_frame` float32 (n, 2, 3), takes px of a crop to px of its frame.
    """

    index: np.ndarray
    images: np.ndarray
    to_frame: np.ndarray

    def __post_init__(self) -> None:
        _check("to_frame", self.to_frame, (len(self.index), 2, 3))
        _check("images", self.images, (len(self.index), *self.images.shape[1:3], 3))


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Track:
    """One person, from where they come into the picture to where they leave it.

    Arrays over T frames: `index` int64, the frame's number in the video; `time_s` float64; `boxes` float32 (T, 4) px;
    `landmarks` float32 (T, 68, 2) px, as found; `seen` bool, False where the landmarks repeat the frame before because
    the face was lost; `crop` float32 (T, 3), x1 y1 side of the calibration crop in px; `calibrated` float32 (T, 68, 2),
    in [-1, 1] of that crop (`landmark_calibration.md`). `starts` int64 (k,), rising from 0: positions at which
    calibration began anew, after a gap or a change of face size; a sequence must not run across one.
    """

    id: int
    index: np.ndarray
    time_s: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray
    seen: np.ndarray
    crop: np.ndarray
    calibrated: np.ndarray
    starts: np.ndarray
    quality: Quality
    thumbnail: np.ndarray
    """uint8 (h, w, 3) RGB: the sharpest view of the face."""
    crops: Mapping[Hashable, Crops] = field(default_factory=dict)
    """By the look that wanted them; a look of which nothing could be cut is absent."""

    def __post_init__(self) -> None:
        frames = len(self.time_s)
        for name, tail in (
            ("index", ()),
            ("boxes", (4,)),
            ("landmarks", (LANDMARKS, 2)),
            ("seen", ()),
            ("crop", (3,)),
            ("calibrated", (LANDMARKS, 2)),
        ):
            _check(name, getattr(self, name), (frames, *tail))

    def stretches(self) -> list[slice]:
        """The runs of consecutive frames between `starts`."""
        edges = [*self.starts.tolist(), len(self.time_s)]
        return [slice(a, b) for a, b in pairwise(edges)]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a detector says of one track, before calibration.

    `time_s` float64 (N,), the middle of what each score looked at; `fake` float32 (N,) in [0, 1]; `overall` in [0, 1];
    `vote` the share of scores at or above one half, for methods that publish one; `grounds` what `overall` rests on,
    the weightiest first, for methods that can tell.
    """

    detector: str
    region: str
    track_id: int
    weights: str
    time_s: np.ndarray
    fake: np.ndarray
    overall: float
    vote: float | None = None
    grounds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("fake", self.fake, (len(self.time_s),))


@dataclass(frozen=True, slots=True)
class Skipped:
    """A detector could not look at a track; `reason` is a sentence for the person at the page."""

    detector: str
    region: str
    track_id: int
    reason: str
    weights: str


@dataclass(frozen=True, slots=True)
class UsedWeights:
    """The file that made a score: manifest id, SHA-256 over its files, licence."""

    id: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One detector on one region of one track, as reported.

    `fake` is P(fake) in [0, 1] as it enters the verdict, `interval` its 90 % interval; None when skipped. Where not
    `calibrated`, it was only brought nearer to one half. `overall`, `vote` and `scores` are the detector's own numbers.
    `reason` says why it was skipped, that it is uncalibrated, or what the score rests on.
    """

    detector: str
    region: str
    track_id: int
    status: Literal["scored", "skipped"]
    fake: float | None = None
    interval: tuple[float, float] | None = None
    calibrated: bool = False
    overall: float | None = None
    vote: float | None = None
    reason: str | None = None
    weights: UsedWeights | None = None
    time_s: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fake` and its 90 % `interval` are None exactly when the label is `not_assessed`; `coverage` in [0, 1]."""

    label: Label
    fake: float | None
    interval: tuple[float, float] | None
    coverage: float
    reason: str

    def __post_init__(self) -> None:
        if (self.fake is None) != (self.label is Label.NOT_ASSESSED):
            raise ValueError(
                f"a verdict has a number unless it is not_assessed, got {self.label} with fake={self.fake}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A short run of landmarks to animate, raw beside calibrated.

    `time_s` float64 (F,); `raw` and `calibrated` float32 (F, 68, 2) in [-1, 1] of the calibration crop; `seen` bool
    (F,), False where the landmarks repeat the frame before.
    """

    time_s: np.ndarray
    raw: np.ndarray
    calibrated: np.ndarray
    seen: np.ndarray

    def __post_init__(self) -> None:
        for name in ("raw", "calibrated"):
            _check(name, getattr(self, name), (len(self.time_s), LANDMARKS, 2))
        _check("seen", self.seen, (len(self.time_s),))


@dataclass(frozen=True, slots=True)
class Person:
    """One track as reported. `face_px` is the median width of the face in px; `thumbnail` a JPEG."""

    id: int
    start_s: float
    end_s: float
    frames: int
    face_px: float
    verdict: Verdict
    quality: Quality
    thumbnail: bytes = field(repr=False, default=b"")
    motion: Motion | None = field(repr=False, compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is known about one analysis; storage keeps it, plots draw it, the API returns it.

    `created_at` is UTC, ISO 8601. `fingerprint` is the SHA-256 of all that determines the result: file, options,
    weights, version.
    """

    id: str
    created_at: str
    app_version: str
    fingerprint: str
    options: Options
    video: Video
    verdict: Verdict
    tracks: tuple[Person, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    timings_s: dict[str, float]
    device: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an analysis is: `stage` in words, `fraction` in [0, 1]."""

    stage: str
    fraction: float


def _check(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, got {array.shape}")
