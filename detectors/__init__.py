"""The detectors, in display order. To add one: a file here, its name in `DETECTORS`, a manifest entry, a test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from core.errors import InputError, WeightsError
from core.settings import Settings
from core.types import Thoroughness
from core.weights import Weights, as_found, locate
from detectors.base import Card, Detector
from detectors.capsule import Capsule
from detectors.compact import Compact
from detectors.dsp_fwa import DSPFWA
from detectors.gend import GenD
from detectors.laa_net import LAANet
from detectors.lipforensics import LipForensics
from detectors.lrnet import LRNet
from detectors.texture import Texture
from detectors.xception import Xception
from preprocessing.cropping import Look

DETECTORS: dict[str, type[Detector]] = {
    cls.card.name: cls for cls in (LRNet, LipForensics, LAANet, Xception, Capsule, DSPFWA, GenD, Texture, Compact)
}


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

    @property
    def set(self) -> str:
        """The set of weights it belongs to: its id without the region."""
        return "/".join(self.weights.id.split("/")[:2])

    def alone(self) -> "Choice":
        """As it is for a clip without references."""
        return self if self.card.alone or not self.ready else replace(self, reason=WANTS_REFERENCE)

    def runs_on(self, device: str) -> str:
        """The device, and the arithmetic there if it is not the network's own, such as `cpu int8`."""
        return DETECTORS[self.card.name].runs_on(device)


def choices(manifest: Mapping[str, Weights], settings: Settings) -> list[Choice]:
    """Every set of weights of every detector, ready or not, in display order and then in the manifest's order."""
    return [
        Choice(cls.card, as_found(weights, settings), _reason(weights, settings))
        for name, cls in DETECTORS.items()
        for weights in manifest.values()
        if weights.detector == name
    ]


WANTS_REFERENCE = (
    "This detector is not meant for a clip by itself, of which it was measured to tell nothing; add a genuine clip of "
    "the same person and camera as a reference, or choose another detector."
)


def choose(
    names: tuple[str, ...], offered: list[Choice], regions: tuple[str, ...] = (), *, referenced: bool = False
) -> list[Choice]:
    """The choices that `names` and `regions` mean, for a clip with or without references.

    A detector's name means its first set of which anything is ready, a set's id (`detector/set`) that very set; none
    means every detector that is ready. Regions concern the detectors that have several; none means all that are
    ready, and one that is named but not ready is among the choices, with its reason.

    Raises:
        InputError: a detector or a region is unknown.
        WeightsError: of a named detector nothing is ready, or none has weights for any of the regions.
    """
    known = list(dict.fromkeys(region for choice in offered for region in choice.card.regions))
    for region in regions:
        if region not in known:
            raise InputError(f"There is no region called {region!r}; choose among: {', '.join(known)}.")
    offered = offered if referenced else [choice.alone() for choice in offered]
    names = names or tuple(dict.fromkeys(c.card.name for c in offered if c.ready))
    if not names:
        raise WeightsError(
            "No detector is ready on this machine; `python -m core.weights list` says what each one lacks."
        )
    chosen = [
        choice
        for name in names
        for choice in _set_of(name, offered)
        if (choice.weights.region in regions if regions and len(choice.card.regions) > 1 else choice.ready)
    ]
    if not chosen:
        have = ", ".join(dict.fromkeys(c.weights.region for name in names for c in _set_of(name, offered)))
        raise WeightsError(
            f"The chosen detectors have no weights for {', '.join(regions)}; they have some for: {have}."
        )
    return list(dict.fromkeys(chosen))


def looks_of(choice: Choice, thoroughness: Thoroughness) -> tuple[Look, ...]:
    """The crops this choice wants to see of each track."""
    return DETECTORS[choice.card.name].looks(choice.weights, thoroughness)


def open_detector(choice: Choice, settings: Settings, device: str) -> Detector:
    """The loaded detector; the same object while its files stay the same.

    Raises:
        WeightsError: the weights are absent or are not those the manifest names.
    """
    files = locate(choice.weights, settings)
    return _open(choice.weights, tuple(files.items()), device, _cache(settings))


Open = Callable[[Choice, Settings, str], Detector]
"""How `open_detector` is called, and whatever stands in for it."""


def is_prepared(choice: Choice, settings: Settings, device: str) -> bool:
    """False where opening it takes tens of seconds, once: its network is first put into a form that is faster here.

    Raises:
        WeightsError: the weights are absent or are not those the manifest names.
    """
    files = locate(choice.weights, settings)
    return DETECTORS[choice.card.name].is_prepared(choice.weights, files, device, _cache(settings))


def _cache(settings: Settings) -> Path:
    return settings.data / "networks"


@lru_cache(maxsize=8)
def _open(weights: Weights, files: tuple[tuple[str, Path], ...], device: str, cache: Path) -> Detector:
    return DETECTORS[weights.detector](weights, dict(files), device, cache)


def _set_of(name: str, offered: list[Choice]) -> list[Choice]:
    """The choices of one set of weights, one a region: those of an id, or of a detector's first ready set."""
    named = [c for c in offered if f"{c.weights.id}/".startswith(f"{name}/")]
    if not named:
        listed = ", ".join(dict.fromkeys(c.card.name for c in offered))
        raise InputError(f"There is no detector called {name!r}; choose among: {listed}.")
    first = next((c for c in named if c.ready), None)
    if first is None:
        raise WeightsError(named[0].reason)
    prefix = name if "/" in name else first.set
    return [c for c in named if f"{c.weights.id}/".startswith(f"{prefix}/")]


def _reason(weights: Weights, settings: Settings) -> str | None:
    try:
        locate(weights, settings)
    except WeightsError as error:
        return str(error)
    return None
