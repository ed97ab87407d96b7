"""Whether people agree, with each other and with the methods, and which thresholds their decisions speak for.

Everything here is a count over decided clips. They are those that people chose to look at, and most were decided with
the scores in view, so numbers from here say how the desk works; they are no measurement of the methods.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import beta

from core.errors import InputError
from core.reviewing import Agreement, Case, Decision, Month
from core.types import Label

LEVEL = 0.95
MIN_PAIRS = 20
"""Pairs of judgements below which there is no kappa: its interval would span most of the scale."""
MIN_MANIPULATED = 20
MIN_NOT_MANIPULATED = 50
MIN_FALSE_ALARMS = 3
"""A threshold needs enough clips that are not manipulated to expect so many false alarms among them: of 3 / rate clips
without any, the rate itself could not be told from zero (the rule of three)."""
DRAWS = 2000
STEP = 0.001
"""Thresholds are rounded up to this."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `n`, as a share with its 95 % interval (Clopper and Pearson, "The use of confidence or fiducial limits
    illustrated in the case of the binomial", Biometrika 1934)."""

    hits: int
    n: int

    @property
    def share(self) -> float:
        return self.hits / self.n

    @property
    def interval(self) -> tuple[float, float]:
        tail = (1 - LEVEL) / 2
        low = 0.0 if self.hits == 0 else float(beta.ppf(tail, self.hits, self.n - self.hits + 1))
        high = 1.0 if self.hits == self.n else float(beta.ppf(1 - tail, self.hits + 1, self.n - self.hits))
        return low, high


@dataclass(frozen=True, slots=True)
class Pick:
    """A threshold on P(manipulated), and what it would do on the decided clips.

    `interval` is the threshold's own, over clips drawn anew; `false_alarms` are among those that are not manipulated,
    `found` among those that are.
    """

    threshold: float
    interval: tuple[float, float]
    false_alarms: Rate
    found: Rate

    def innocent_of_100(self, base_rate: float) -> tuple[float, float, float]:
        """Of 100 clips that are flagged, how many are not manipulated, if `base_rate` of all that arrive are; and the
        least and the most, with both rates at the ends of their intervals. NaN where nothing would be flagged.
        """
        (least, most), (worst, best) = self.false_alarms.interval, self.found.interval
        pairs = ((self.false_alarms.share, self.found.share), (least, best), (most, worst))
        low, high = (100 * _innocent(alarms, found, base_rate) for alarms, found in pairs[1:])
        return 100 * _innocent(*pairs[0], base_rate), low, high


@dataclass(frozen=True, slots=True)
class Change:
    """What another threshold would change among decided clips, by what people decided of them."""

    flagged: Mapping[Decision, int]
    """Flagged by the new threshold, not by the old one."""
    cleared: Mapping[Decision, int]
    """The other way round."""


def kappa(table: np.ndarray) -> np.ndarray:
    """Cohen's kappa of a square table of counts, one judge's answers in rows and the other's in columns.

    1 is full agreement, 0 what chance gives; NaN where all answers are the same. The last two axes are the table.

    Source: Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 1960.
    """
    shares = table / table.sum((-2, -1), keepdims=True)
    observed = np.trace(shares, axis1=-2, axis2=-1)
    by_chance = (shares.sum(-1) * shares.sum(-2)).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = (observed - by_chance) / (1 - by_chance)
    return found


def agreement(pairs: Sequence[tuple[Hashable, Hashable]]) -> Agreement:
    """How far the two of each pair agree; the interval is a bootstrap's over the pairs."""
    n = len(pairs)
    share = sum(a == b for a, b in pairs) / n if n else 0.0
    kinds = {kind: i for i, kind in enumerate(dict.fromkeys(kind for pair in pairs for kind in pair))}
    if n < MIN_PAIRS or len(kinds) < 2:
        return Agreement(n, share, None, None)
    table = np.zeros((len(kinds), len(kinds)))
    for a, b in pairs:
        table[kinds[a], kinds[b]] += 1
    drawn = np.random.default_rng(0).multinomial(n, (table / n).ravel(), size=DRAWS).reshape(DRAWS, *table.shape)
    return Agreement(n, share, float(kappa(table)), _quantiles(kappa(drawn)))


def between_reviewers(cases: Iterable[Case]) -> tuple[Agreement, dict[tuple[str, str], Agreement]]:
    """Agreement of every two reviewers who judged the same clip, in all and by their names.

    Of who gave an opinion before the scores were shown, that counts; of others, their first decision.
    """
    by_names: dict[tuple[str, str], list[tuple[Decision, Decision]]] = {}
    for case in cases:
        first: dict[str, Decision] = {}
        for reviewer, decision in (*case.blind, *case.rulings):
            first.setdefault(reviewer, decision)
        for one, other in combinations(sorted(first), 2):
            by_names.setdefault((one, other), []).append((first[one], first[other]))
    everyone = [pair for pairs in by_names.values() for pair in pairs]
    return agreement(everyone), {names: agreement(pairs) for names, pairs in sorted(by_names.items())}


def with_methods(cases: Iterable[Case], threshold: float, *, blind: bool = False) -> Agreement:
    """Agreement of people with the flag at a threshold, where people could tell and the methods had a number.

    `blind`: of opinions given before the scores were shown, rather than of the decisions that stand.
    """
    pairs = []
    for case in cases:
        decisions = [decision for _, decision in case.blind] if blind else [case.decision]
        told = [d is Decision.MANIPULATED for d in decisions if d in (Decision.MANIPULATED, Decision.NOT_MANIPULATED)]
        pairs += [(manipulated, case.fake >= threshold) for manipulated in told if case.fake is not None]
    return agreement(pairs)


def confusion(cases: Iterable[Case]) -> dict[Label, dict[Decision, int]]:
    """How many clips of each band people decided how."""
    counted = Counter((case.label, case.decision) for case in cases)
    return {label: {decision: counted[label, decision] for decision in Decision} for label in Label}


def pick(cases: Iterable[Case], false_alarm_rate: float) -> Pick:
    """The lowest threshold that flags no larger share of the clips decided as not manipulated.

    Raises:
        InputError: the rate is not between 0 and 1, or too few clips were decided to tell.
    """
    if not 0 < false_alarm_rate < 1:
        raise InputError(f"The false-alarm rate must lie between 0 and 1, got {false_alarm_rate:g}; 0.05 is one in 20.")
    innocent, manipulated = _told_apart(cases)
    needed = max(MIN_NOT_MANIPULATED, math.ceil(round(MIN_FALSE_ALARMS / false_alarm_rate, 6)))
    if len(innocent) < needed or len(manipulated) < MIN_MANIPULATED:
        raise InputError(
            f"A threshold at {false_alarm_rate:.1%} false alarms needs {needed} scored clips that were decided as not "
            f"manipulated and {MIN_MANIPULATED} as manipulated; there are {len(innocent)} and {len(manipulated)}. "
            "Decide more, or allow more false alarms."
        )
    threshold = float(_thresholds(innocent[None], false_alarm_rate)[0])
    if threshold >= 1:
        raise InputError("Too many clips that are not manipulated score close to 1; no threshold keeps them out.")
    drawn = np.random.default_rng(0).choice(innocent, (DRAWS, len(innocent)))
    return Pick(
        threshold,
        _quantiles(_thresholds(drawn, false_alarm_rate)),
        Rate(int((innocent >= threshold).sum()), len(innocent)),
        Rate(int((manipulated >= threshold).sum()), len(manipulated)),
    )


def change(cases: Iterable[Case], old: float, new: float) -> Change:
    """What a threshold instead of another would have changed."""
    scored = [(case.fake, case.decision) for case in cases if case.fake is not None]
    return Change(
        Counter(decision for fake, decision in scored if new <= fake < old),
        Counter(decision for fake, decision in scored if old <= fake < new),
    )


def months(scores: Iterable[tuple[str, float]], cases: Iterable[Case], threshold: float) -> list[Month]:
    """Month by month the scores of all clips, each with the time of its analysis, and agreement on those decided.

    A drift of the scores tells that what arrives has changed, or a method; one of the agreement, that methods or people
    judge it otherwise than before.
    """
    scored: dict[str, list[float]] = {}
    for at, fake in scores:
        scored.setdefault(at[:7], []).append(fake)
    decided: dict[str, list[Case]] = {}
    for case in cases:
        decided.setdefault(case.at[:7], []).append(case)
    return [
        Month(
            month,
            len(scored.get(month, ())),
            _quartiles(scored[month]) if month in scored else None,
            with_methods(decided.get(month, ()), threshold),
        )
        for month in sorted(scored.keys() | decided.keys())
    ]


def _told_apart(cases: Iterable[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the clips decided as not manipulated, and of those decided as manipulated."""
    told: dict[bool, list[float]] = {False: [], True: []}
    for case in cases:
        if case.manipulated is not None and case.fake is not None:
            told[case.manipulated].append(case.fake)
    return np.array(told[False]), np.array(told[True])


def _thresholds(innocent: np.ndarray, rate: float) -> np.ndarray:
    """For each row of scores (m, n) the lowest step above all but a share `rate` of them."""
    n = innocent.shape[1]
    allowed = math.floor(round(n * rate, 6))
    highest_kept_out = np.partition(innocent, n - 1 - allowed, axis=1)[:, n - 1 - allowed]
    steps: np.ndarray = (np.floor(np.round(highest_kept_out / STEP, 6)) + 1) * STEP
    return steps.round(6)


def _innocent(alarms: float, found: float, base_rate: float) -> float:
    flagged = alarms * (1 - base_rate) + found * base_rate
    return alarms * (1 - base_rate) / flagged if flagged else math.nan


def _quantiles(values: np.ndarray) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(values, (tail, 1 - tail))
    return float(low), float(high)


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float(low), float(median), float(high)
