"""Clips found by their hashes, among many, without looking at all of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.types import Likeness

NEAR_BITS = 7
"""Pictures whose hashes differ in so many of 64 bits, at most, are nearly the same; see `Index` for why not more."""
NEAR_SHARE = 0.25
"""Clips are nearly the same from this share on. Both numbers are measured by `python -m benchmarks.similar`."""
STEP_S = 0.5
"""Offsets are told apart by so much: the distance of two hashes in time."""


@dataclass(frozen=True, slots=True)
class Alike:
    """One clip that is like the one that was asked about.

    `share` is the part of the asked clip's pictures that this one has, or of this one's that the asked one has,
    whichever is more, since either may be trimmed; `offset_s` is where in this clip the asked one begins.
    """

    name: str
    share: float
    offset_s: float


class Index:
    """Finds all hashes nearby by looking at few.

    Multi-index hashing: of two hashes that differ in 7 of 64 bits at most, at least one quarter differs in one bit at
    most. So 17 places in each of four tables hold every hash that is near, among few that are not.

    Source: Norouzi, Punjani & Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        """Hashes uint8 (n, 8)."""
        self._quarters = _quarters(hashes)
        self._order = [np.argsort(quarter, kind="stable") for quarter in self._quarters.T]
        self._starts = [np.cumsum([0, *np.bincount(quarter, minlength=1 << 16)]) for quarter in self._quarters.T]

    def near(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All pairs within `NEAR_BITS`, each once: places among `hashes` uint8 (q, 8), and places in the index."""
        asked, held = _quarters(hashes), self._quarters
        candidates = [
            _meet(asked[:, n, None] ^ _FLIPS, starts, order)
            for n, (starts, order) in enumerate(zip(self._starts, self._order, strict=True))
        ]
        i, j = (np.concatenate(places) for places in zip(*candidates, strict=True))
        near = _ONES[asked[i] ^ held[j]].sum(axis=1) <= NEAR_BITS
        i, j = np.divmod(np.unique(i[near] * len(held) + j[near]), max(1, len(held)))
        return i, j


class Clips:
    """Clips, by name, among which others are looked up; does not change."""

    def __init__(self, clips: Mapping[str, Likeness]) -> None:
        self._names = list(clips)
        self._sizes = np.array([len(clip.time_s) for clip in clips.values()], np.int64)
        self._clip = np.repeat(np.arange(len(clips)), self._sizes)
        self._time_s = np.concatenate([np.empty(0, np.float32), *(clip.time_s for clip in clips.values())])
        self._index = Index(np.concatenate([np.empty((0, 8), np.uint8), *(clip.hashes for clip in clips.values())]))

    def find(self, asked: Likeness, *, share: float = NEAR_SHARE) -> list[Alike]:
        """Those that share so much with it, most alike first; itself too, if it is among them."""
        i, j = self._index.near(asked.hashes)
        order = np.argsort(self._clip[j], kind="stable")
        i, j = i[order], j[order]
        clip, count = self._clip[j], len(self._names)
        of_asked = np.bincount(np.unique(clip * len(asked.time_s) + i) // max(1, len(asked.time_s)), minlength=count)
        of_clip = np.bincount(self._clip[np.unique(j)], minlength=count)
        shares = np.maximum(of_asked / max(1, len(asked.time_s)), of_clip / np.maximum(1, self._sizes))
        found = np.flatnonzero(shares >= max(share, 1e-9))
        return [
            Alike(
                self._names[n],
                float(shares[n]),
                _offset(self._time_s[j[first:last]] - asked.time_s[i[first:last]]),
            )
            for n, first, last in zip(
                found, np.searchsorted(clip, found), np.searchsorted(clip, found, side="right"), strict=True
            )
        ]


_FLIPS = np.array([0, *(1 << bit for bit in range(16))], np.uint16)
_ONES = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1).sum(axis=1)
"""How many bits of each number of 16 bits are set."""


def _quarters(hashes: np.ndarray) -> np.ndarray:
    """uint16 (n, 4)."""
    return np.ascontiguousarray(hashes).view(np.uint16).reshape(-1, 4)


def _meet(keys: np.ndarray, starts: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `keys` (q, k) and the places in the index that have one of the row's keys, in pairs."""
    first, last = starts[keys].ravel(), starts[1:][keys].ravel()
    counts = last - first
    runs = np.arange(counts.sum()) + np.repeat(last - np.cumsum(counts), counts)
    return np.repeat(np.arange(len(counts)) // keys.shape[1], counts), order[runs]


def _offset(differences_s: np.ndarray) -> float:
    """The offset that most pairs of pictures agree on; the earliest of them where several are agreed on equally."""
    steps = np.rint(differences_s / STEP_S).astype(np.int64)
    values, counts = np.unique(steps, return_counts=True)
    return float(values[counts.argmax()] * STEP_S)
