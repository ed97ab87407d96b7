"""Labelled clips become a table of cues, measured as the app measures them and kept, so that a killed run goes on."""

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from core.errors import NotApplicable
from core.settings import Settings
from core.types import Track
from detectors.compact import RUNS, measured
from detectors.cues import CANVAS, RUN
from preprocessing.cropping import Look
from preprocessing.regions import REGIONS
from training.clips import ALL_FORMS, Clip, extract, groups, load
from training.out_of_fold import ORIGINAL

log = logging.getLogger(__name__)

CUES_FORMAT = 1
"""Raise it when cues come out differently than before: old caches are then measured anew."""
LOOK = Look(CANVAS, RUNS["standard"], run=RUN)


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """The clips that have cues, n in all, and why the others have none.

    `cues` by region, per clip float64 (runs, k); `conditions` per clip float64 (runs, 8); `width_px` float64 (n,).
    """

    clips: Sequence[Clip]
    fake: np.ndarray
    group: np.ndarray
    measured: np.ndarray
    """bool (n,): of the list whose results are reported; the others are small."""
    width_px: np.ndarray
    rate_hz: np.ndarray
    cues: Mapping[str, Sequence[np.ndarray]]
    conditions: Sequence[np.ndarray]
    failures: Sequence[tuple[Clip, str]]


def look_at(clips: Sequence[Clip], forms: Iterable[str], cache: Path, settings: Settings) -> None:
    """Reads into `cache` what cues and texture are measured on, where it is not there yet."""
    for name, form, reason in extract(clips, forms, cache, settings, [LOOK]):
        log.warning("%s, %s: %s", name, form, reason)


def gather(clips: Sequence[Clip], more: Sequence[Clip], cache: Path, form: str = ORIGINAL) -> Collection:
    """The cues of both lists, measured where they are not in `cache` yet.

    Raises:
        FileNotFoundError: a clip was not looked at in this form.
    """
    everything = [*clips, *more]
    group = groups(everything)
    rows, failures = [], []
    for i, clip in enumerate(tqdm(everything, desc=f"cues, {form}")):
        answer = read_cues(clip, form, cache)
        if isinstance(answer, str):
            failures.append((clip, answer))
        else:
            rows.append((i, answer))
    return Collection(
        clips=[everything[i] for i, _ in rows],
        fake=np.array([everything[i].fake for i, _ in rows]),
        group=np.array([group[i] for i, _ in rows]),
        measured=np.array([i < len(clips) for i, _ in rows]),
        width_px=np.array([float(answer["width_px"]) for _, answer in rows]),
        rate_hz=np.array([float(answer["rate_hz"]) for _, answer in rows]),
        cues={region: [answer[region] for _, answer in rows] for region in REGIONS},
        conditions=[answer["conditions"] for _, answer in rows],
        failures=failures,
    )


def read_cues(clip: Clip, form: str, cache: Path) -> dict[str, np.ndarray] | str:
    """Kept under a name that follows from the clip and its form; a sentence where there are none.

    Raises:
        FileNotFoundError: the clip was not looked at in this form.
    """
    recipe = f"{CUES_FORMAT} {clip.sha256} {ALL_FORMS[form]} {LOOK}"
    path = cache / f"{hashlib.sha256(recipe.encode()).hexdigest()[:24]}.cues.npz"
    if path.exists():
        with np.load(path) as arrays:
            return str(arrays["failure"]) if "failure" in arrays else dict(arrays)
    answer = _cues(load(cache, clip, form, [LOOK]))
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **({"failure": np.array(answer)} if isinstance(answer, str) else answer))
    os.replace(partial, path)
    return answer


def _cues(track: Track | str) -> dict[str, np.ndarray] | str:
    if isinstance(track, str):
        return track
    try:
        found = measured(track)
    except NotApplicable as reason:
        return str(reason)
    return {
        **found.cues,
        "conditions": found.conditions,
        "width_px": np.array(np.median(np.ptp(track.landmarks[:, :, 0], axis=1))),
        "rate_hz": np.array(track.quality.frame_rate_hz),
    }
