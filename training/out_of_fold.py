"""Scores of clips by networks that saw nothing of their source: what the trainer writes and the benchmark reads.

A CSV with the columns `weights` (a manifest id), `sha256` (of the clip as it is listed), `fake` (P(fake) as it would
enter the verdict, empty where the clip could not be scored) and `form` (how the clip was re-encoded; "original" where
there is no such column).
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.errors import InputError
from training.clips import Clip

ORIGINAL = "original"

OutOfFold = Mapping[tuple[str, str], Mapping[str, float | None]]
"""P(fake) by SHA-256 of the clip, by weights and form; None where it could not be scored."""


def write_out_of_fold(path: Path, clips: Sequence[Clip], scores: Mapping[tuple[str, str], np.ndarray]) -> None:
    """Writes P(fake) (n,) of n clips by weights and form; NaN where a clip could not be scored."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["weights", "form", "sha256", "fake"])
        for (weights, form), values in scores.items():
            for clip, fake in zip(clips, values.tolist(), strict=True):
                rows.writerow([weights, form, clip.sha256, "" if math.isnan(fake) else fake])


def read_out_of_fold(path: Path) -> OutOfFold:
    """The scores of such a file.

    Raises:
        InputError: a column is missing, or a score is no probability.
    """
    given: dict[tuple[str, str], dict[str, float | None]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        if absent := {"weights", "sha256", "fake"} - set(rows.fieldnames or ()):
            raise InputError(f"{path.name} lacks the columns {', '.join(sorted(absent))}.")
        for row in rows:
            scores = given.setdefault((row["weights"], row.get("form") or ORIGINAL), {})
            scores[row["sha256"]] = _probability(row["fake"], path.name) if row["fake"] else None
    return given


def _probability(text: str, name: str) -> float:
    try:
        fake = float(text)
    except ValueError:
        fake = math.nan
    if not 0 <= fake <= 1:
        raise InputError(f"{name} has a score {text!r}; P(fake) lies between 0 and 1.")
    return fake
