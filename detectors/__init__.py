"""The detectors, in display order. To add one: a file here, its name in `DETECTORS`, a manifest entry, a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.errors import InputError, WeightsError
from core.settings import Settings
from core.weights import Weights, locate
from detectors.base import Card, Detector
from detectors.lrnet import LRNet

DETECTORS: dict[str, type[Detector]] = {cls.card.name: cls for cls in (LRNet,)}


@dataclass(frozen=True, slots=True)
class Choice:
    """One set of weights of one detector, as offered to people and programs."""

    card: Card
    weights: Weights
    reason: str | None
    """Why it cannot run here; None when it is ready."""

    @property
    def ready(self) -> bool:
        return self.reason is None


def choices(manifest: Mapping[str, Weights], settings: Settings) -> list[Choice]:
    """Every set of weights of every detector, ready or not, in display order and then in the manifest's order."""
    return [
        Choice(cls.card, weights, _reason(weights, settings))
        for name, cls in DETECTORS.items()
        for weights in manifest.values()
        if weights.detector == name
    ]


def choose(names: tuple[str, ...], offered: list[Choice]) -> list[Choice]:
    """The choices that `names` mean: a detector's name is its first ready set, a weights id that very set; none is all.

    Raises:
        InputError: a name is unknown.
        WeightsError: a named detector is not ready.
    """
    names = names or tuple(dict.fromkeys(c.card.name for c in offered if c.ready))
    if not names:
        raise WeightsError(
            "No detector is ready on this machine; `python -m core.weights list` says what each one lacks."
        )
    return list(dict.fromkeys(_choose(name, offered) for name in names))


def open_detector(choice: Choice, settings: Settings, device: str) -> Detector:
    """The loaded detector; the same object while its files stay the same.

    Raises:
        WeightsError: the weights are absent or are not those the manifest names.
    """
    files = locate(choice.weights, settings)
    return _open(choice.weights, tuple(files.items()), device)


@lru_cache(maxsize=8)
def _open(weights: Weights, files: tuple[tuple[str, Path], ...], device: str) -> Detector:
    return DETECTORS[weights.detector](weights, dict(files), device)


def _choose(name: str, offered: list[Choice]) -> Choice:
    named = [c for c in offered if name in (c.card.name, c.weights.id)]
    if not named:
        known = ", ".join(dict.fromkeys(c.card.name for c in offered))
        raise InputError(f"There is no detector called {name!r}; choose among: {known}.")
    ready = next((c for c in named if c.ready), None)
    if ready is None:
        raise WeightsError(named[0].reason)
    return ready


def _reason(weights: Weights, settings: Settings) -> str | None:
    try:
        locate(weights, settings)
    except WeightsError as error:
        return str(error)
    return None
