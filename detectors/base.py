"""The contract every detector keeps."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.types import Scores, Thoroughness, Track
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


class Detector(ABC):
    """A network with its weights loaded, in eval mode. `score` is deterministic and changes nothing."""

    card: ClassVar[Card]

    @abstractmethod
    def __init__(self, weights: Weights, files: Mapping[str, Path], device: str) -> None:
        """Loads strictly: a missing or unexpected tensor raises."""

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
