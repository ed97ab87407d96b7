"""How well scores tell manipulated clips from genuine ones, and what a score is worth."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import norm, rankdata

from analysis.calibration import raw_logit
from core.weights import Calibration

RESAMPLES = 2000
AT_A_TIME = 10_000_000
"""Draws times clips that are measured at once, so that a hundred thousand frames fit the memory."""
BINS = 10
"""Of equal width, in which scores are held against what the clips were."""
ALL = "all"
"""Every family of manipulation together."""
MEASURES = {
    "auc": "AUC",
    "size_matched_auc": "size-matched AUC",
    "ap": "AP",
    "eer": "EER",
    "tpr_at_1": "TPR at 1 % FPR",
    "tpr_at_5": "TPR at 5 % FPR",
    "ece": "ECE",
    "pairs": "pair accuracy",
}
"""What `measure` gives, and the headings of its columns."""
Z_95 = 1.9600
STRONG_FALSE_ALARMS = 0.01
"""Share of the genuine clips that may show strong signs: as few as that, since bundled methods are weak."""
STRONG_FLOOR = 0.75
"""Odds of three to one: below them nothing is called strong, however seldom genuine clips get there."""
SOME_FALSE_ALARMS = 0.20
MISSED = 0.20
"""Share of the manipulated clips that may show no signs."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure with its 95 % interval; NaN where the clips cannot tell."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "-"
        return f"{self.value:z.2f}" + ("" if math.isnan(self.low) else f" ({self.low:z.2f} to {self.high:z.2f})")


UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Auc(Estimate):
    """Area under the ROC curve of `genuine` and `fake` clips; NaN where a class is missing."""

    genuine: int
    fake: int


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What is known of n clips.

    `fake` bool (n,); `group` int (n,), the same for clips that are no independent evidence; `width_px` float (n,), of
    the face; `family` str (n,), how a clip was manipulated; `pair` str (n,), the same for a clip and its
    unmanipulated twin, empty where it has none; twins are of one group.
    """

    fake: np.ndarray
    group: np.ndarray
    width_px: np.ndarray
    family: np.ndarray
    pair: np.ndarray

    def take(self, which: np.ndarray) -> Self:
        """Those of `which`, bool or int (k,)."""
        return type(self)(*(getattr(self, name)[which] for name in ("fake", "group", "width_px", "family", "pair")))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the scores called `name` over the clips of one `family` and all genuine ones.

    `genuine`, `fake` and `sources` (groups of the manipulated clips) count clips that have a score, `unassessed` is
    the share that has none; `measures` by the names of `MEASURES`; `confound` the highest AUC that a confound alone
    reaches over those very clips.
    """

    name: str
    family: str
    genuine: int
    fake: int
    sources: int
    unassessed: float
    measures: Mapping[str, Estimate]
    confound: float


def tabulate(
    scores: Mapping[str, np.ndarray],
    labels: Labels,
    confounds: Mapping[str, np.ndarray] = {},
    *,
    resamples: int = RESAMPLES,
) -> list[Row]:
    """For every name and family, how well the scores tell manipulated clips from genuine ones.

    Args:
        scores: P(fake) (n,) by name; NaN where a clip was not assessed.
        labels: of the same n clips.
        confounds: measures (n,) that are no detectors, each turned whichever way round suits it over all clips.
    """
    turned = {name: -v if auc(v, labels.fake) < 0.5 else v for name, v in confounds.items()}
    rows = []
    for name, values in (dict(scores) | turned).items():
        for family in (ALL, *sorted(set(labels.family[labels.fake].tolist()))):
            asked = ~labels.fake | (labels.family == family) | (family == ALL)
            known = asked & np.isfinite(values)
            clips = labels.take(known)
            alone = [auc(v[known], clips.fake) for v in turned.values()]
            rows.append(
                Row(
                    name=name,
                    family=family,
                    genuine=int((~clips.fake).sum()),
                    fake=int(clips.fake.sum()),
                    sources=len(np.unique(clips.group[clips.fake])),
                    unassessed=1 - float(known.sum() / asked.sum()),
                    measures=measure(values[known], clips, probabilities=name in scores, resamples=resamples),
                    confound=max((a for a in alone if a == a), default=math.nan),
                )
            )
    return rows


def measure(
    scores: np.ndarray, labels: Labels, *, probabilities: bool = True, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Every one of `MEASURES` over the clips that have a score, with bootstrap intervals that draw whole groups.

    Args:
        scores: float (n,), NaN where a clip was not assessed.
        probabilities: they are P(fake); otherwise there is no ECE.
    """
    known = np.isfinite(scores)
    scores, labels = scores[known], labels.take(known)
    if not len(scores):
        return dict.fromkeys(MEASURES, UNKNOWN)
    drawn, member = _draw(labels.group, resamples)
    size = np.digitize(labels.width_px, np.quantile(labels.width_px, [1 / 3, 2 / 3]))
    right, twins = _twins(scores, labels, member)

    def found(drawn: np.ndarray) -> tuple[np.ndarray, ...]:
        weight = drawn[:, member]
        thirds = np.stack([_curve(scores, labels.fake, weight * (size == third))[0] for third in range(3)])
        curve = _curve(scores, labels.fake, weight)
        said, was, share = reliability(scores, labels.fake, weight)
        ece = np.nansum(share * np.abs(said - was), axis=1)
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # draws without a class or a twin have no number
            return (
                curve[0],
                np.nanmean(thirds, axis=0),
                *curve[1:],
                np.where(np.isnan(curve[0]) | (not probabilities), np.nan, ece),
                drawn @ right / (drawn @ twins),
            )

    parts = [found(some) for some in np.array_split(drawn, math.ceil(drawn.shape[0] * len(scores) / AT_A_TIME))]
    return {name: _estimate(np.concatenate(v)) for name, v in zip(MEASURES, zip(*parts, strict=True), strict=True)}


def measure_accuracy(scores: np.ndarray, labels: Labels, *, resamples: int = RESAMPLES) -> Estimate:
    """The share of all n clips that one half puts on their side; a clip without a score, NaN, is on neither."""
    if not len(scores):
        return UNKNOWN
    drawn, member = _draw(labels.group, resamples)
    right = np.where(labels.fake, scores >= 0.5, scores < 0.5)
    counts, hits = np.bincount(member), np.bincount(member, right)
    return _estimate(drawn @ hits / (drawn @ counts))


def measure_change(before: np.ndarray, after: np.ndarray, labels: Labels, *, resamples: int = RESAMPLES) -> Estimate:
    """How much the AUC grew from `before` to `after`, float (n,) each, over the clips that have both scores."""
    known = np.isfinite(before) & np.isfinite(after)
    labels = labels.take(known)
    if not known.any():
        return UNKNOWN
    drawn, member = _draw(labels.group, resamples)
    was, now = (_curve(scores[known], labels.fake, drawn[:, member])[0] for scores in (before, after))
    return _estimate(now - was)


@dataclass(frozen=True, slots=True)
class DeLong:
    """AUC of the first scores less that of the second, `sd` its standard deviation, and the two-sided p-value of both
    being the same; over `n` clips. NaN where a class has fewer than two clips."""

    change: Estimate
    sd: float
    p: float
    n: int


def delong(first: np.ndarray, second: np.ndarray, fake: np.ndarray) -> DeLong:
    """Whether two scores (n,) of the same clips differ in AUC, over the clips that have both.

    It takes every clip for independent of all others. Sources: DeLong, DeLong & Clarke-Pearson, "Comparing the areas
    under two or more correlated receiver operating characteristic curves", Biometrics 44, 1988; by ranks as in Sun and
    Xu, IEEE Signal Processing Letters 21, 2014.
    """
    known = np.isfinite(first) & np.isfinite(second)
    scores, fake = np.stack([first[known], second[known]]), fake[known]
    count = int(known.sum())
    if min(fake.sum(), (~fake).sum()) < 2:
        return DeLong(UNKNOWN, math.nan, math.nan, count)
    ranks, above, below = (rankdata(of, axis=1) for of in (scores, scores[:, fake], scores[:, ~fake]))
    placed = (ranks[:, fake] - above) / (~fake).sum(), 1 - (ranks[:, ~fake] - below) / fake.sum()
    change = float(np.subtract(*placed[0].mean(axis=1)))
    sd = math.sqrt(sum(float(np.subtract(*of).var(ddof=1)) / of.shape[1] for of in placed))
    z = abs(change) / sd if sd else math.inf if change else 0.0
    return DeLong(Estimate(change, change - Z_95 * sd, change + Z_95 * sd), sd, float(2 * norm.sf(z)), count)


def _draw(group: np.ndarray, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each of g groups is drawn with replacement, int (1 + resamples, g), and the groups' places (n,).

    Once each in the first row; so the first number of any measure is its value, and the others its bootstrap. One
    source says nothing of others: of a single one nothing is drawn.
    """
    numbers, member = np.unique(group, return_inverse=True)
    count = len(numbers)
    chosen = np.random.default_rng(0).integers(count, size=(resamples if count > 1 else 0, count))
    drawn = np.zeros((len(chosen), count), np.int64)
    np.add.at(drawn, (np.arange(len(chosen))[:, None], chosen), 1)
    return np.concatenate([np.ones((1, count), np.int64), drawn]), member


def _estimate(values: np.ndarray) -> Estimate:
    """The first of `values` with the middle 95 % of those of the others that are a number."""
    heard = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(heard, [0.025, 0.975]) if len(heard) else (math.nan, math.nan)
    return Estimate(float(values[0]), float(low), float(high))


def _curve(scores: np.ndarray, fake: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """AUC, AP, EER, and TPR at 1 % and at 5 % FPR, of each draw, (d,); NaN where it lacks a class.

    As scikit-learn defines them, of all draws at once: a thousand draws of its own take seconds.

    Args:
        weight: int (d, n), how often each clip was drawn.
    """
    true, false = _passed(scores, fake, weight)
    with np.errstate(invalid="ignore"):
        tpr, fpr, precision = true / true[:, -1:], false / false[:, -1:], np.nan_to_num(true / (true + false))
    area = (np.diff(fpr) * (tpr[:, 1:] + tpr[:, :-1])).sum(axis=1) / 2
    ap = (np.diff(tpr) * precision[:, 1:]).sum(axis=1)
    # The EER is where as many genuine clips are accused as manipulated ones are missed, between two thresholds.
    excess = fpr + tpr - 1
    after = (np.arange(len(excess)), np.maximum(1, (excess >= 0).argmax(axis=1)))
    before = (after[0], after[1] - 1)
    with np.errstate(invalid="ignore"):
        eer = fpr[before] - excess[before] * (fpr[after] - fpr[before]) / (excess[after] - excess[before])
    at = [np.where(fpr <= limit, tpr, 0).max(axis=1) for limit in (0.01, 0.05)]
    lacking = (true[:, -1] == 0) | (false[:, -1] == 0)
    area, ap, eer, at_1, at_5 = (np.where(lacking, np.nan, values) for values in (area, ap, eer, *at))
    return area, ap, eer, at_1, at_5


def _passed(scores: np.ndarray, fake: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many manipulated and genuine clips lie at or above each threshold, from none on, (d, thresholds + 1)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # tied clips are passed together
    passed = [np.cumsum(weight[:, order] * of[order], axis=1)[:, ends] for of in (fake, ~fake)]
    true, false = (np.pad(counts, ((0, 0), (1, 0))) for counts in passed)
    return true, false


def roc(scores: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve of clips with a score: shares of genuine and of manipulated clips, NaN where there are none."""
    known = np.isfinite(scores)
    true, false = _passed(scores[known], fake[known], np.ones((1, int(known.sum())), np.int64))
    with np.errstate(invalid="ignore"):
        return false[0] / false[0, -1], true[0] / true[0, -1]


def reliability(
    scores: np.ndarray, fake: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per draw and bin, (d, BINS): the mean P(fake) that was said, the share that was manipulated, the bin's weight.

    Both classes weigh one half, since calibration is at even prior odds. NaN in bins that are empty.

    Args:
        scores: float (n,) in [0, 1].
        fake: bool (n,).
        weight: int (d, n), how often each clip was drawn; once where not given.
    """
    weight = np.ones((1, len(scores)), np.int64) if weight is None else weight
    place = np.clip((scores * BINS).astype(int), 0, BINS - 1)[:, None] == np.arange(BINS)
    with np.errstate(invalid="ignore"):
        each = sum(weight * of / 2 / (weight * of).sum(axis=1, keepdims=True) for of in (fake, ~fake))
        said, was, share = each * scores @ place, each * fake @ place, each @ place
        return said / share, was / share, share


def _twins(scores: np.ndarray, labels: Labels, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per group, how many manipulated clips score above their twin, ties half, and how many have one."""
    right, twins = np.zeros(member.max() + 1), np.zeros(member.max() + 1)
    for pair in set(labels.pair.tolist()) - {""}:
        mine = labels.pair == pair
        both = int((mine & labels.fake).sum() * (mine & ~labels.fake).sum())
        if both:
            twins[member[mine][0]] += both
            right[member[mine][0]] += both * auc(scores[mine], labels.fake[mine])
    return right, twins


def auc(scores: np.ndarray, fake: np.ndarray) -> float:
    """P(a manipulated clip scores above a genuine one), ties half; NaN where a class is missing.

    Args:
        scores: float (n,), NaN where a clip has none.
        fake: bool (n,).
    """
    known = np.isfinite(scores)
    return (
        float(_curve(scores[known], fake[known], np.ones((1, known.sum()), np.int64))[0][0])
        if known.any()
        else math.nan
    )


def measure_auc(scores: np.ndarray, fake: np.ndarray, group: np.ndarray) -> Auc:
    """The AUC of those clips that have a score, with a bootstrap interval that draws whole groups (n,).

    Clips of one source are no independent evidence, so neither is a clip the unit that is drawn.
    """
    scores, fake, group = (values[np.isfinite(scores)] for values in (scores, fake, group))
    if not len(scores):
        return Auc(math.nan, math.nan, math.nan, 0, 0)
    drawn, member = _draw(group, RESAMPLES)
    found = _estimate(_curve(scores, fake, drawn[:, member])[0])
    return Auc(found.value, found.low, found.high, int((~fake).sum()), int(fake.sum()))


def measure_within(scores: np.ndarray, fake: np.ndarray, group: np.ndarray) -> Auc:
    """The same over pairs of a genuine and a manipulated clip of one group only: no difference of sources can help."""
    scores, fake, group = (values[np.isfinite(scores)] for values in (scores, fake, group))
    kept = [g for g in np.unique(group) if 0 < fake[group == g].mean() < 1]
    inside = np.isin(group, kept)
    if not kept:
        return Auc(math.nan, math.nan, math.nan, 0, 0)
    pairs = np.array([fake[group == g].sum() * (~fake[group == g]).sum() for g in kept])
    right = pairs * [auc(scores[group == g], fake[group == g]) for g in kept]
    drawn, _ = _draw(np.array(kept), RESAMPLES)
    found = _estimate(drawn @ right / (drawn @ pairs))
    return Auc(found.value, found.low, found.high, int((inside & ~fake).sum()), int((inside & fake).sum()))


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
