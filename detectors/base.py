"""The contract every detector keeps."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file

from core.types import Saliency, Scores, Thoroughness, Track
from core.weights import Weights
from preprocessing.cropping import Look


@dataclass(frozen=True, slots=True)
class Card:
    """What the page, the API and the manifest test know of a detector without loading it."""

    name: str
    title: str
    summary: str
    """One sentence: what it looks at."""
    source: str
    regions: tuple[str, ...]
    limits: str
    """One or two sentences: where it is known to fail."""
    alone: bool = True
    """False: measured to tell nothing of a clip by itself, so it is asked only where there are references."""
    heat: str = ""
    """One sentence: what the heat in its exhibits shows."""
    cost: float = 1.0
    """Time for one crop over that of finding the faces in a frame: guessed from the size of the network, and used only
    until it is timed on the machine at hand."""


class Detector(ABC):
    """A network with its weights loaded, in eval mode. `score` is deterministic and changes nothing."""

    card: ClassVar[Card]

    @abstractmethod
    def __init__(self, weights: Weights, files: Mapping[str, Path], device: str, cache: Path | None = None) -> None:
        """Loads strictly: a missing or unexpected tensor raises.

        `cache` is a folder in which a network may be kept in a form that is faster here; None: it is used as it is.
        """

    @classmethod
    def is_prepared(cls, weights: Weights, files: Mapping[str, Path], device: str, cache: Path | None) -> bool:
        """False where opening it with these arguments takes tens of seconds, once, to fill `cache`."""
        return True

    @classmethod
    def runs_on(cls, device: str) -> str:
        """The device, and the arithmetic there if it is not the network's own: both move scores a little."""
        return device

    @classmethod
    def looks(cls, weights: Weights, thoroughness: Thoroughness) -> tuple[Look, ...]:
        """The crops that `score` will find in `track.crops`; none for detectors that read landmarks."""
        return ()

    @abstractmethod
    def score(self, track: Track) -> Scores:
        """Scores of one person.

        Raises:
            NotApplicable: the track holds nothing this detector can judge.
        """

    def explain(self, track: Track, scores: Scores, moments: Sequence[int]) -> list[Saliency]:
        """Where it looked in these of its `scores` of this track, in order; none where it cannot tell."""
        return []

    def hide(self, track: Track, scores: Scores, moments: Sequence[int]) -> dict[str, Scores]:
        """What it says of these moments when a region of the face is hidden, by region, and as they are, by `entire`.

        Nothing where it knows no regions.
        """
        return {}


def read_tensors(path: Path) -> dict[str, Any]:
    """The tensors of a file by name: of safetensors, or of a published .pth through the restricted unpickler."""
    if path.suffix == ".safetensors":
        return load_file(path)
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint
