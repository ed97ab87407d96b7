"""Do the detectors still say what they said? Each scores a stored input and is held against a stored score.

An upgraded library can move scores without any error. Stored are the landmarks of the page's own example and what
calibration made of them, so each stage is judged on its own: another FaceMesh turns its own line red and not those of
the detectors. Pictures are cut from the example again, as for a user's clip.

Scores of bundled weights on a CPU come with the app. Of other weights, and on another device or in another arithmetic,
which give other digits, the first run is recorded and later ones are held against it.

`python -m analysis.selftest` makes what is stored in the tree anew, after a change that was meant.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from pathlib import Path

import numpy as np

from core.errors import AppError
from core.kept import write_json
from core.settings import ROOT, VERSION, Settings
from core.types import Face, Frame, Track
from core.weights import Weights, load_manifest, state
from detectors import Choice, choices, looks_of, open_detector
from detectors.engines import device, limit_threads
from preprocessing.calibration import GRID_PX
from preprocessing.landmarks import FaceMesh
from preprocessing.tracking import follow
from preprocessing.video import Tally, decode

CLIP = ROOT / "ui" / "assets" / "example.mp4"
INPUT = Path(__file__).with_name("selftest.npz")
"""`landmarks` float32 (100, 68, 2) px, four seconds, from FaceMesh; `calibrated` int16 (100, 68, 2) on the 400 grid."""
EXPECTED = Path(__file__).with_name("selftest.json")
FRAMES = 100
"""LRNet needs 91."""
TOLERANCE = 1e-3
"""Of each score: what ONNX Runtime and PyTorch may differ by; well below what moves a verdict."""
LANDMARKS_PX = 0.5
"""Of each coordinate: a pixel of jitter is a sign of manipulation to LRNet, rounding between processors is not."""
CALIBRATION_PX = 0.05
"""Of the mean coordinate, on the 400 grid: points are whole there, and one that is rounded the other way is no harm."""


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is a stage, or the id of weights with this SHA-256; `reason` one line for the operator."""

    name: str
    ok: bool
    reason: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One self-test; `at` is UTC, ISO 8601."""

    at: str
    app_version: str
    device: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def selftest(manifest: Mapping[str, Weights], settings: Settings, expected: Path = EXPECTED) -> Run:
    """Checks landmarks, calibration, every detector that is ready, and names damaged weights; keeps the result.

    Raises:
        AppError: the scores that were recorded here cannot be read.
    """
    limit_threads()
    offered = choices(manifest, settings)
    recorded = _read_scores(_recorded(settings))
    known = recorded | _read_scores(expected)

    @cache
    def track() -> Track:
        return read(_stored()["landmarks"], [c for c in offered if c.ready])

    def judge(choice: Choice) -> tuple[bool, str]:
        if not choice.ready:
            return False, str(choice.reason)
        scores, key = _score(choice, track(), settings), _key(choice)
        if key not in known:
            recorded[key] = scores
            return True, "recorded now; later runs are held against it"
        return _compare(scores, known[key])

    checks = [_check("landmarks", _judge_landmarks), _check("calibration", lambda: _judge_calibration(track()))]
    for choice in offered:
        if choice.ready or state(choice.weights, settings).kind == "refused":
            checks.append(_check(choice.weights.id, partial(judge, choice), choice.weights.sha256))
    run = Run(datetime.now(UTC).isoformat(timespec="seconds"), VERSION, device(), tuple(checks))
    write_json(_recorded(settings), recorded)
    write_json(_last(settings), asdict(run))
    return run


def last_run(settings: Settings) -> Run | None:
    """The result of the last self-test on this machine; None if there was none."""
    try:
        kept = json.loads(_last(settings).read_text(encoding="utf-8"))
        return Run(**kept | {"checks": tuple(Check(**check) for check in kept["checks"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def record() -> None:
    """Writes what is stored in the tree: landmarks, calibration, and the scores of bundled weights on this device."""
    settings = Settings.from_env(os.environ)
    limit_threads()
    with closing(FaceMesh()) as mesh:
        landmarks = np.stack([mesh.find(frame.image)[0].landmarks for frame in _frames()])
    bundled = [c for c in choices(load_manifest(), settings) if c.ready and c.weights.source == "bundled"]
    track = read(landmarks, bundled)
    np.savez_compressed(INPUT, landmarks=landmarks, calibrated=_on_grid(track.calibrated))
    write_json(EXPECTED, {_key(choice): _score(choice, track, settings) for choice in bundled})


def read(landmarks: np.ndarray, ready: list[Choice]) -> Track:
    """The face in the example with these landmarks (100, 68, 2), and all crops that are looked at in *fast*."""
    looks = [look for choice in ready for look in looks_of(choice, "fast")]
    found = (
        (frame, [Face(np.concatenate([points.min(axis=0), points.max(axis=0)]), points)], False)
        for frame, points in zip(_frames(), landmarks, strict=True)
    )
    (track,) = follow(found, looks)
    return track


def _check(name: str, judge: Callable[[], tuple[bool, str]], sha256: str = "") -> Check:
    """Whatever goes wrong is what the self-test is there to tell."""
    try:
        ok, reason = judge()
    except Exception as error:
        ok, reason = False, str(error) if isinstance(error, AppError) else f"{type(error).__name__}: {error}"
    return Check(name, ok, " ".join(reason.split()), sha256)


def _judge_landmarks() -> tuple[bool, str]:
    stored = _stored()["landmarks"][:5]
    with closing(FaceMesh()) as mesh:
        found = [mesh.find(frame.image) for frame in islice(_frames(), len(stored))]
    if any(len(faces) != 1 for faces in found):
        return False, f"one face a frame was expected, {[len(faces) for faces in found]} were found"
    moved = np.stack([faces[0].landmarks for faces in found]) - stored
    return _within(np.abs(moved).max(), LANDMARKS_PX, "px from the stored landmarks")


def _judge_calibration(track: Track) -> tuple[bool, str]:
    moved = _on_grid(track.calibrated) - _stored()["calibrated"]
    return _within(np.abs(moved).mean(), CALIBRATION_PX, "px from the stored points, on average")


def _compare(scores: list[float], stored: list[float]) -> tuple[bool, str]:
    if len(stored) != len(scores):
        return False, f"{len(stored) - 1} scores were expected, {len(scores) - 1} came"
    return _within(np.abs(np.subtract(scores, stored)).max(), TOLERANCE, "from the stored scores")


def _within(moved: float, limit: float, what: str) -> tuple[bool, str]:
    return bool(moved <= limit), f"{moved:.2g} {what}; {limit:g} is allowed"


def _score(choice: Choice, track: Track, settings: Settings) -> list[float]:
    """The overall score, and then each one, with the stored calibration.

    Raises:
        ValueError: one of them is not a number.
    """
    calibrated = (_stored()["calibrated"] / (GRID_PX / 2) - 1).astype(np.float32)
    scores = open_detector(choice, settings, device()).score(replace(track, calibrated=calibrated))
    answers = [round(float(score), 6) for score in (scores.overall, *scores.fake)]
    if not np.isfinite(answers).all():
        raise ValueError("a score is not a number")
    return answers


def _key(choice: Choice) -> str:
    return f"{choice.weights.id} {choice.weights.sha256} {choice.runs_on(device())}"


def _frames() -> Iterator[Frame]:
    """With the default limits: an operator's narrower ones are for uploads."""
    return islice(decode(CLIP, Tally(), settings=Settings.from_env({})), FRAMES)


def _on_grid(calibrated: np.ndarray) -> np.ndarray:
    return np.rint(calibrated * (GRID_PX / 2) + GRID_PX / 2).astype(np.int16)


def _stored() -> dict[str, np.ndarray]:
    with np.load(INPUT) as arrays:
        return dict(arrays)


def _recorded(settings: Settings) -> Path:
    return settings.data / "selftest" / "scores.json"


def _last(settings: Settings) -> Path:
    return settings.data / "selftest" / "last.json"


def _read_scores(path: Path) -> dict[str, list[float]]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except ValueError as error:
        raise AppError(f"The recorded scores in {path} cannot be read; delete the file to record them anew.") from error


if __name__ == "__main__":
    record()
