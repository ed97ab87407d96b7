"""Which labelled clips a set of weights was trained on, so that no benchmark takes memory for skill."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.settings import ROOT
from core.weights import Weights
from core.weights.store import sha256_of
from training.clips import Clip
from training.layouts.sample import Sample
from training.runs import recorded

SEEN = ROOT / "detectors" / "bundled" / "seen.json"
"""Beginnings of the SHA-256 of clips, by manifest id."""
DIGITS = 8


def remember(id: str, clips: Sequence[Clip]) -> None:
    """Notes that the weights of this id were trained on these clips, or on the footage they show; forgets others."""
    known = _known() | {id: sorted({clip.sha256[:DIGITS] for clip in clips})}
    entries = (f"{json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known))
    SEEN.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


def seen(id: str, clips: Sequence[Clip]) -> np.ndarray | None:
    """Of each clip, bool (n,), whether these weights were trained on it; None where nobody noted it."""
    known = _known().get(id)
    return None if known is None else np.array([clip.sha256[:DIGITS] in known for clip in clips], bool)


def knew(weights: Weights, files: Mapping[str, Path], samples: Sequence[Sample]) -> np.ndarray | None:
    """Of each sample, bool (n,), whether these weights had its content, source, identity or pair in training, by the
    note above or by what their files say of themselves; None where neither says anything."""
    noted = _known().get(weights.id)
    runs = [run for path in files.values() if (run := recorded(path))]
    if noted is None and not runs:
        return None
    bonds = {bond for run in runs for bond in run.seen}
    return np.array([bool(bonds & sample.bonds) or _digest(sample.path) in (noted or ()) for sample in samples], bool)


def _digest(path: Path) -> str:
    return sha256_of(path)[:DIGITS] if path.is_file() else ""


def _known() -> dict[str, list[str]]:
    return dict(json.loads(SEEN.read_text(encoding="utf-8"))) if SEEN.exists() else {}
