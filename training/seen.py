"""Which labelled clips a set of weights was trained on, so that no benchmark takes memory for skill."""

import json
from collections.abc import Sequence

import numpy as np

from core.settings import ROOT
from training.clips import Clip

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


def _known() -> dict[str, list[str]]:
    return dict(json.loads(SEEN.read_text(encoding="utf-8"))) if SEEN.exists() else {}
