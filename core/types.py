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

GAP_STEPS = 2.5
"""Scores further apart than this many median steps leave a gap; each stands for half a step to either side."""


class Label(StrEnum):
    """The five bands of a verdict. None of them says "real"."""

    STRONG_SIGNS = "strong_signs"
    SOME_SIGNS = "some_signs"
    INCONCLUSIVE = "inconclusive"
    NO_SIGNS = "no_signs"
    NOT_ASSESSED = "not_assessed"


Thoroughness = Literal["fast", "standard", "thorough"]
Basis = Literal["calibrated", "partly uncalibrated", "uncalibrated"]
"""Whether it was measured how often the scores behind a number are right."""


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
class Thresholds:
    """Where the bands of a verdict begin, as P(fake): below `no_signs` none, from the others on some or strong ones."""

    strong_signs: float
    some_signs: float
    no_signs: float


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
class Contributions:
    """What each of T frames adds to the log-odds of a clip: `log_odds` and `bias` add up to those of the clip.

    `time_s` s; `weights` sum to 1, or () where all frames count alike. Each frame has seen the whole clip, so this says
    only roughly when.
    """

    time_s: tuple[float, ...]
    log_odds: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float


@dataclass(frozen=True, slots=True, eq=False)
class Saliency:
    """Where a network looked for signs of manipulation, in one crop.

    `index` int, the position in the track; `time_s` and `score` those of the answer it stands behind; `image` uint8
    (s, s, 3) RGB, what the network saw; `to_frame` (2, 3), takes px of it to px of the frame; `heat` float32 (h, w) in
    [0, 1] over the whole image. The hottest place is as hot as the score is high, so a face that raised no suspicion
    stays cold.
    """

    index: int
    time_s: float
    score: float
    image: np.ndarray
    to_frame: np.ndarray
    heat: np.ndarray
    contributions: Contributions | None = None


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
class Weighing:
    """How a detector's own scores enter the verdict: all that is needed to fuse them again without the video.

    Log-odds of manipulation = slope x log-odds of the score + intercept, with standard deviation `sd`; what genuine
    clips of the same source took off is in the intercept. `reliability` in [0, 1] is the weight beside others.
    """

    slope: float
    intercept: float
    sd: float
    reliability: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One detector on one region of one track, as reported.

    `fake` is P(fake) in [0, 1] as it enters the verdict, `interval` its 90 % interval; None when skipped. Where not
    `calibrated`, it was only brought nearer to one half. `overall`, `vote` and `scores` are the detector's own numbers;
    `weighing` is how they came to be `fake`, None when skipped and in reports from before it was kept.
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
    weighing: Weighing | None = None

    @property
    def witness(self) -> str:
        """What spoke, the same for every person: the weights' id, of which each region has its own."""
        return self.weights.id if self.weights else f"{self.detector}/{self.region}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fake` and its 90 % `interval` are None exactly when the label is `not_assessed`; `coverage` in [0, 1].

    `basis` says what the number rests on; None where there is none, and in reports from before it was kept.
    """

    label: Label
    fake: float | None
    interval: tuple[float, float] | None
    coverage: float
    reason: str
    basis: Basis | None = None

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


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """What the pictures of a clip look like as a whole, to find the clip again; in order of time.

    `time_s` float32 (n,); `hashes` uint8 (n, 8): the 64 bits of a perceptual hash each. n may be 0.
    """

    time_s: np.ndarray
    hashes: np.ndarray

    def __post_init__(self) -> None:
        _check("hashes", self.hashes, (len(self.time_s), 8))


ChangeName = Literal["re-encoded", "scaled"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a verdict when the clip was changed in a way that should not matter.

    `track_id` is the person's, None for the whole video; `fake` is None exactly when the label is `not_assessed`, and
    then `reason` says why.
    """

    change: ChangeName
    track_id: int | None
    label: Label
    fake: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Where one method looked in one frame, as reported; not proof.

    `weights` is an id; `score` P(fake) of this moment, the method's own; `crop` a JPEG of what the network saw, `frame`
    one of the whole picture, scaled down; `to_frame` the (2, 3) row by row that take px of the crop to px of that;
    `heat` float32 (h, w) in [0, 1] over the crop, see `Saliency`.
    """

    detector: str
    region: str
    track_id: int
    weights: str
    time_s: float
    score: float
    crop: bytes = field(repr=False)
    frame: bytes = field(repr=False)
    to_frame: tuple[float, ...]
    heat: np.ndarray = field(repr=False, compare=False)
    contributions: Contributions | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Occlusion:
    """How the score of one person moves when a region of their face is hidden, in the moments that mattered most.

    `fake` and `hidden` are the fused P(fake) of these moments before and after; `moved`, by weights id, how far each
    method's own score moves: below 0 where the region spoke for manipulation.
    """

    track_id: int
    region: str
    fake: float
    hidden: float
    moved: dict[str, float]


@dataclass(frozen=True, slots=True)
class Provenance:
    """The C2PA credentials of a file: what it says of its own origin. All texts come from the file, cut to a bound.

    `intact`: the signature holds and the file is as it was signed; by whom was not held against any list of trusted
    issuers, so `signer` is what the signature calls itself. `broken`: one of the two does not hold, see `problems`.
    `unreadable`: there are some, and `problems` says why they could not be read. `absent`: there are none.
    """

    status: Literal["intact", "broken", "unreadable", "absent"]
    signer: str | None = None
    signed_at: str | None = None
    generator: str | None = None
    title: str | None = None
    actions: tuple[str, ...] = ()
    ingredients: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is known about one analysis; storage keeps it, plots draw it, the API returns it.

    `created_at` is UTC, ISO 8601. `fingerprint` is the SHA-256 of all that determines the result: file, options,
    weights, version. `trials` were made where it was thorough and something could be assessed; `likeness` where clips
    are to be found again. `provenance` and `thresholds` (those the verdicts were given by) are None in reports from
    before they were kept; `references` are the SHA-256 of the genuine clips it was made beside.
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
    exhibits: tuple[Exhibit, ...] = field(repr=False, default=())
    occlusions: tuple[Occlusion, ...] = ()
    trials: tuple[Trial, ...] = ()
    thresholds: Thresholds | None = None
    references: tuple[str, ...] = ()
    provenance: Provenance | None = None
    likeness: Likeness | None = field(repr=False, compare=False, default=None)


@dataclass(frozen=True, slots=True)
class FusedLine:
    """One person's fused P(fake) over time: at each moment that of the methods that looked at it.

    A None in `time_s` and `fake` is a gap.
    """

    track_id: int
    basis: Basis
    time_s: tuple[float | None, ...]
    fake: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an analysis is: `stage` in words, `fraction` in [0, 1]."""

    stage: str
    fraction: float


def _check(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, got {array.shape}")
