"""Telltale's own compact detector: does the face belong to the picture, and to itself from frame to frame?

A handful of named cues (`detectors.cues`) of each region go into one linear model a region, small enough that every
score can be taken apart into what each cue brought to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from scipy.special import expit

from core.errors import Lack, NotApplicable
from core.types import Scores, Thoroughness, Track
from core.weights import Weights
from detectors.base import Card, Detector, read_tensors
from detectors.cues import CANVAS, RUN, cues_of, measure, runs
from preprocessing.cropping import Look
from preprocessing.regions import REGIONS

RUNS: dict[Thoroughness, int] = {"fast": 4, "standard": 8, "thorough": 16}
"""Runs of consecutive frames that are looked at of each person."""
MIN_RUNS = 2
MIN_WIDTH_PX = 60
"""The smallest face in the clips that the weights were measured on."""
GROUNDS = 3
"""Cues that are named beside a score."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Log-odds of one region: `bias` + the sum of `weight` x (cue held within `low` and `high` - `centre`).

    What genuine cues owe to the conditions is taken off before that: `slopes` float64 (8, k) times how far they are
    from the `usual` ones, float64 (8,). The rest are float64 (k,) over the region's cues; one that could not be
    measured stands at `centre`. `genuine` float64 (2, k): mean and deviation over genuine clips.
    """

    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray
    usual: np.ndarray
    slopes: np.ndarray
    weight: np.ndarray
    bias: float
    genuine: np.ndarray

    def level(self, cues: np.ndarray, conditions: np.ndarray) -> np.ndarray:
        """Cues (n, k) as they would be under usual conditions; what is NaN stays so."""
        return np.asarray(cues - np.nan_to_num(conditions - self.usual) @ self.slopes)

    def contributions(self, level: np.ndarray) -> np.ndarray:
        """To the log-odds, float64 (n, k), of levelled cues (n, k) that may be NaN."""
        held = np.where(np.isfinite(level), np.clip(level, self.low, self.high), self.centre)
        return np.asarray((held - self.centre) * self.weight)

    def log_odds(self, cues: np.ndarray, conditions: np.ndarray) -> np.ndarray:
        """Of n runs, float64 (n,)."""
        return np.asarray(self.contributions(self.level(cues, conditions)).sum(axis=1) + self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What n runs of a track show: their middles `time_s` float64 (n,), cues float64 (n, k) by region, and the
    conditions float64 (n, 8)."""

    time_s: np.ndarray
    cues: Mapping[str, np.ndarray]
    conditions: np.ndarray


@dataclass(frozen=True, slots=True)
class Ground:
    """What one cue brought to a score: `log_odds`, and how many deviations it is above what genuine faces have."""

    cue: str
    log_odds: float
    deviations: float

    def __str__(self) -> str:
        side = "above" if self.deviations > 0 else "below"
        return f"{self.cue} {abs(self.deviations):.1f} deviations {side} genuine faces"


class Compact(Detector):
    card = Card(
        name="compact",
        title="Compact: cues of the face against its surroundings",
        summary="Whether detail, colour and flicker of the face fit its surroundings, its other regions and the frames "
        "before and after.",
        source="our own",
        regions=REGIONS,
        limits="At chance across sources, since what a genuine face looks like differs from one to the next; within a "
        "source manipulated clips mostly score above their originals.",
        alone=False,
        cost=1.2,  # one look is a run of six crops, and the five regions share them
    )

    def __init__(self, weights: Weights, files: Mapping[str, Path], device: str, cache: Path | None = None) -> None:
        self._weights = weights
        self._model = read_model(files["model"], weights.region)

    @classmethod
    def looks(cls, weights: Weights, thoroughness: Thoroughness) -> tuple[Look, ...]:
        return (Look(CANVAS, RUNS[thoroughness], run=RUN),)

    def score(self, track: Track) -> Scores:
        found = measured(track)
        log_odds = self._model.log_odds(found.cues[self._weights.region], found.conditions)
        return Scores(
            detector=self.card.name,
            region=self._weights.region,
            track_id=track.id,
            weights=self._weights.id,
            time_s=found.time_s,
            fake=expit(log_odds).astype(np.float32),
            overall=float(expit(log_odds.mean())),
            grounds=tuple(str(ground) for ground in self.grounds(track)[:GROUNDS]),
        )

    def grounds(self, track: Track) -> list[Ground]:
        """What every cue brought to the score, the largest first.

        Raises:
            NotApplicable: the track holds nothing this detector can judge.
        """
        found = measured(track)
        level = self._model.level(found.cues[self._weights.region], found.conditions)
        brought = self._model.contributions(level).mean(axis=0)
        mean, deviation = self._model.genuine
        apart = np.where(np.isfinite(level), (level - mean) / deviation, 0).mean(axis=0)
        names = [cue.name for cue in cues_of(self._weights.region)]
        grounds = [Ground(*one) for one in zip(names, brought.tolist(), apart.tolist(), strict=True)]
        return sorted(grounds, key=lambda ground: -abs(ground.log_odds))


def read_model(path: Path, region: str) -> Model:
    """The model of one region from the file that holds them all.

    Raises:
        ValueError: the file was made for other cues.
    """
    tensors = {
        name.partition(".")[2]: tensor.numpy().astype(np.float64)
        for name, tensor in read_tensors(path).items()
        if name.startswith(f"{region}.")
    }
    count = len(cues_of(region))
    if any(tensor.shape[-1:] != (count,) for name, tensor in tensors.items() if name not in ("bias", "usual")):
        raise ValueError(f"{path.name} does not hold {count} numbers a tensor for {region}: it is of other cues")
    return Model(**tensors | {"bias": float(tensors["bias"][0])})


_measured: WeakKeyDictionary[Track, Measured] = WeakKeyDictionary()
"""Measured once per track, for all regions; forgotten with it."""


def measured(track: Track) -> Measured:
    """What the runs of a track show.

    Raises:
        NotApplicable: too few runs, or too small a face.
    """
    if track not in _measured:
        _measured[track] = _measure(track)
    return _measured[track]


def _measure(track: Track) -> Measured:
    width = float(np.median(np.ptp(track.landmarks[:, :, 0], axis=1)))
    if width < MIN_WIDTH_PX:
        raise NotApplicable(
            f"{MIN_WIDTH_PX} px of face width are needed to look at detail, the face has {width:.0f}; use a closer "
            "shot or a larger version of the clip.",
            Lack.SIZE,
        )
    looks = [Look(CANVAS, count, run=RUN) for count in sorted(RUNS.values(), reverse=True)]
    crops = next((track.crops[look] for look in looks if look in track.crops), None)
    found = runs(track, crops) if crops else []
    if not crops or len(found) < MIN_RUNS:
        raise NotApplicable(
            f"{MIN_RUNS} runs of {RUN} consecutive frames of one face are needed, {len(found)} were found; use a "
            "longer shot.",
            Lack.LENGTH,
        )
    cues, conditions = zip(*(measure(track, crops, run) for run in found), strict=True)
    at = crops.index[np.stack(found)]
    return Measured(
        time_s=(track.time_s[at[:, 0]] + track.time_s[at[:, -1]]) / 2,
        cues={region: np.stack([each[region] for each in cues]) for region in REGIONS},
        conditions=np.stack(conditions),
    )
