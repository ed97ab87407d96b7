"""How well scores tell manipulated clips from genuine ones, and what a score is worth."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from analysis.calibration import raw_logit
from core.weights import Calibration

RESAMPLES = 2000
STRONG_FALSE_ALARMS = 0.05
"""Share of the genuine clips that may show strong signs."""
STRONG_FLOOR = 0.75
"""Odds of three to one: below them nothing is called strong, however seldom genuine clips get there."""
SOME_FALSE_ALARMS = 0.20
MISSED = 0.20
"""Share of the manipulated clips that may show no signs."""


@dataclass(frozen=True, slots=True)
class Auc:
    """Area under the ROC curve of `genuine` and `fake` clips with its 95 % interval; NaN where a class is missing."""

    value: float
    low: float
    high: float
    genuine: int
    fake: int

    def __str__(self) -> str:
        return "-" if math.isnan(self.value) else f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def auc(scores: np.ndarray, fake: np.ndarray) -> float:
    """P(a manipulated clip scores above a genuine one), ties half; NaN where a class is missing.

    Args:
        scores: float (n,).
        fake: bool (n,).
    """
    positive, negative = int(fake.sum()), int((~fake).sum())
    if not positive or not negative:
        return math.nan
    ranks = rankdata(scores)
    return float((ranks[fake].sum() - positive * (positive + 1) / 2) / (positive * negative))


def measure_auc(scores: np.ndarray, fake: np.ndarray, group: np.ndarray) -> Auc:
    """The AUC of those clips that have a score, with a bootstrap interval that draws whole groups (n,).

    Clips of one source are no independent evidence, so neither is a clip the unit that is drawn.
    """
    scores, fake, group = (values[np.isfinite(scores)] for values in (scores, fake, group))
    members = [np.flatnonzero(group == g) for g in np.unique(group)]

    def draw(chosen: np.ndarray) -> float:
        rows = np.concatenate([members[i] for i in chosen])
        return auc(scores[rows], fake[rows])

    return Auc(auc(scores, fake), *_interval(draw, len(members)), int((~fake).sum()), int(fake.sum()))


def measure_within(scores: np.ndarray, fake: np.ndarray, group: np.ndarray) -> Auc:
    """The same over pairs of a genuine and a manipulated clip of one group only: no difference of sources can help."""
    scores, fake, group = (values[np.isfinite(scores)] for values in (scores, fake, group))
    kept = [g for g in np.unique(group) if 0 < fake[group == g].mean() < 1]
    pairs = np.array([fake[group == g].sum() * (~fake[group == g]).sum() for g in kept])
    right = pairs * [auc(scores[group == g], fake[group == g]) for g in kept]
    inside = np.isin(group, kept)
    if not kept:
        return Auc(math.nan, math.nan, math.nan, 0, 0)
    interval = _interval(lambda chosen: float(right[chosen].sum() / pairs[chosen].sum()), len(kept))
    value = float(right.sum() / pairs.sum())
    return Auc(value, *interval, int((inside & ~fake).sum()), int((inside & fake).sum()))


def _interval(measure: Callable[[np.ndarray], float], count: int) -> tuple[float, float]:
    """The middle 95 % of `measure` over draws of `count` positions with replacement, but for draws without a number."""
    rng = np.random.default_rng(0)
    drawn = [measure(rng.integers(count, size=count)) for _ in range(RESAMPLES if count else 0)]
    if not np.isfinite(drawn).any():
        return math.nan, math.nan
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Platt:
    """P(fake) = sigmoid(slope x logit + intercept); `covariance` (2, 2) is that of (slope, intercept)."""

    slope: float
    intercept: float
    covariance: tuple[tuple[float, float], tuple[float, float]]


def fit_platt(logits: np.ndarray, fake: np.ndarray, group: np.ndarray) -> Platt:
    """Logistic regression at even prior odds, both classes weighing the same whatever their numbers.

    Targets are smoothed as Platt does ("Probabilistic outputs for support vector machines", 1999). The covariance is
    the sandwich over groups (n,). A slope below 0 would read the detector backwards; it becomes "says nothing".
    """
    positive, negative = fake.sum(), (~fake).sum()
    weight = np.where(fake, 0.5 / positive, 0.5 / negative) * len(fake)
    target = np.where(fake, (positive + 1) / (positive + 2), 1 / (negative + 2))
    x = np.stack([logits, np.ones_like(logits)], axis=1)
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-(x @ beta)))
        beta += np.linalg.solve(_information(x, weight, p), x.T @ (weight * (target - p)))
    if beta[0] < 0:
        beta = np.zeros(2)
    p = 1 / (1 + np.exp(-(x @ beta)))
    pulls = np.stack([(x * (weight * (target - p))[:, None])[group == g].sum(axis=0) for g in np.unique(group)])
    bread = np.linalg.inv(_information(x, weight, p))
    (a, b), (_, c) = bread @ (pulls.T @ pulls) @ bread * len(pulls) / max(len(pulls) - 1, 1)
    return Platt(float(beta[0]), float(beta[1]), ((float(a), float(b)), (float(b), float(c))))


def apply(calibration: Calibration, scores: np.ndarray) -> np.ndarray:
    """Calibrated P(fake) of raw scores (n,)."""
    logits = np.array([raw_logit(score) for score in scores])
    return 1 / (1 + np.exp(-(calibration.slope * logits + calibration.intercept)))


def _information(x: np.ndarray, weight: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.asarray((x * (weight * p * (1 - p))[:, None]).T @ x)


@dataclass(frozen=True, slots=True)
class Bands:
    """Thresholds on P(fake): from `strong_signs` and `some_signs` on, and below `no_signs`."""

    strong_signs: float
    some_signs: float
    no_signs: float


def choose_bands(probability: np.ndarray, fake: np.ndarray) -> Bands:
    """The widest bands that keep to the stated shares of false alarms and misses, and to the floor, in thousandths."""
    some = _above(probability[~fake], SOME_FALSE_ALARMS)
    manipulated = np.sort(probability[fake])
    missed = math.floor(manipulated[int(MISSED * len(manipulated))] * 1000) / 1000
    return Bands(max(STRONG_FLOOR, _above(probability[~fake], STRONG_FALSE_ALARMS)), some, min(missed, some))


def _above(genuine: np.ndarray, share: float) -> float:
    """The lowest threshold that at most `share` of the genuine clips reach."""
    highest_silent = np.sort(genuine)[::-1][int(share * len(genuine))]
    return (math.floor(highest_silent * 1000) + 1) / 1000
