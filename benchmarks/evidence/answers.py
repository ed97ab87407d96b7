"""Labelled clips go through the app's own `analyze`: as they are, re-encoded, and with a genuine clip beside them."""

import hashlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from analysis.pipeline import analyze, take_order
from core.errors import InputError, NotNow
from core.settings import Settings
from core.types import Label, Options, Report
from core.weights import Weights, load_manifest
from training.clips import SWEEP, Clip, encode
from training.out_of_fold import ORIGINAL
from training.resumed import PASSING, answers, code

REFERENCED = "with a reference"
CACHE_FORMAT = 1
"""Raise it when answers are kept, or clips re-encoded, otherwise than before."""


@dataclass(frozen=True, slots=True)
class Task:
    """One analysis: a clip in one form, perhaps with a genuine clip of the same source as its reference."""

    clip: Clip
    form: str = ORIGINAL
    reference: Clip | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What one set of weights said of the most suspicious person; `fake` is P(fake) or None where it could not look."""

    detector: str
    weights: str
    region: str
    fake: float | None

    @property
    def name(self) -> str:
        return f"{self.weights}, {self.region}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one task: the verdict and what it rests on, or why the file could not be analysed.

    `fake` is P(fake) of the verdict, None where it was not assessed, with the `reason`. `bytes_per_px` is of the file,
    NaN where it could not be read; so is `rate_hz`.
    """

    label: str
    fake: float | None
    reason: str
    heard: tuple[Heard, ...] = ()
    rate_hz: float = math.nan
    bytes_per_px: float = math.nan
    failed: bool = field(default=False, kw_only=True)

    @classmethod
    def parse(cls, plain: dict[str, Any]) -> "Answer":
        own = {name: value for name, value in plain.items() if name != PASSING}
        return cls(**own | {"heard": tuple(Heard(**h) for h in plain["heard"])})


def plan(clips: Sequence[Clip], forms: Sequence[str] = ()) -> list[Task]:
    """Every clip as it is, those of a pair with a reference, and every clip in those forms of the sweep."""
    beside = references(clips)
    return [
        *(Task(clip) for clip in clips),
        *(Task(clips[i], REFERENCED, clips[j]) for i, j in beside.items()),
        *(Task(clip, form) for form in forms for clip in clips),
    ]


def references(clips: Sequence[Clip]) -> dict[int, int]:
    """For the clips of pairs, a genuine clip of the same source, as a person who uses the app would bring one.

    For a manipulated clip that is its unmanipulated twin; for the twin, which must not be held against itself, another
    genuine clip of its identity, or else of its origin. Where there is none it is left out.
    """
    genuine = [j for j, clip in enumerate(clips) if not clip.fake]
    manipulated = {clip.pair for clip in clips if clip.fake and clip.pair}
    twin = {clips[j].pair: j for j in reversed(genuine) if clips[j].pair in manipulated}
    found = {i: twin[clip.pair] for i, clip in enumerate(clips) if clip.fake and clip.pair in twin}
    for i in twin.values():
        others = [j for j in genuine if j != i and clips[j].origin == clips[i].origin]
        alike = [j for j in others if clips[j].identity == clips[i].identity]
        if others:
            found[i] = (alike or others)[0]
    return found


def ask(tasks: Sequence[Task], folder: Path, options: Options, settings: Settings, *, jobs: int = 1) -> list[Answer]:
    """The answers to all tasks, those from `folder` that are there already; the others are put there one by one.

    Raises:
        WeightsError: a named detector is not ready.
    """
    questions = [(task, options, settings) for task in tasks]
    files = [folder / f"{_key(*question)}.json" for question in questions]
    return [Answer.parse(found) for found in answers(_answer, list(zip(questions, files, strict=True)), jobs=jobs)]


def _key(task: Task, options: Options, settings: Settings) -> str:
    """Of all that determines the answer: a changed file, network or line of code is never mistaken for the old one."""
    beside = [task.reference.path] if task.reference else []
    order = take_order(task.clip.path, options, settings, _manifest(), beside)
    return hashlib.sha256(f"{CACHE_FORMAT} {code()} {order.fingerprint} {SWEEP.get(task.form)}".encode()).hexdigest()[
        :24
    ]


def _answer(question: tuple[Task, Options, Settings]) -> dict[str, Any]:
    task, options, settings = question
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = task.clip.path
            if task.form in SWEEP:
                path = Path(folder) / "clip.mp4"
                encode(task.clip, SWEEP[task.form], path, settings, any_rate=True)
            report = analyze(
                path,
                name="",
                options=options,
                settings=settings,
                manifest=_manifest(),
                references=[task.reference.path] if task.reference else [],
            )
            return asdict(_condense(report, path.stat().st_size))
        except InputError as error:
            failure = Answer(Label.NOT_ASSESSED, None, str(error), failed=True)
            return asdict(failure) | {PASSING: isinstance(error, NotNow)}


def _condense(report: Report, size: int) -> Answer:
    most: dict[tuple[str, str, str], float | None] = {}
    for f in report.findings:
        if f.weights:
            key = (f.detector, f.weights.id, f.region)
            most[key] = max((p for p in (most.get(key), f.fake) if p is not None), default=None)
    video = report.video
    pixels = (video.frames or video.frames_decoded) * video.width * video.height
    return Answer(
        label=report.verdict.label,
        fake=report.verdict.fake,
        reason=report.verdict.reason,
        heard=tuple(Heard(*key, fake) for key, fake in most.items()),
        rate_hz=video.fps,
        bytes_per_px=size / pixels if pixels else math.nan,
    )


@cache
def _manifest() -> Mapping[str, Weights]:
    return load_manifest()
