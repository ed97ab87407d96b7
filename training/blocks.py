"""Landmarks of labelled clips, drawn in blocks such that neither class, no source and no clip dominates."""

from collections.abc import Sequence

import numpy as np
import torch

from core.types import Track
from detectors.lrnet import BLOCK, MAX_IMPUTED, MAX_REPEATED, RATE_HZ

# fmt: off
MIRRORED = np.array([
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
    27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
])
# fmt: on
"""Which iBUG point each one becomes in a mirror."""


def flip(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (..., 68, 2) in crop units as a mirror shows them: x turned about, left and right points exchanged."""
    return np.asarray(landmarks[..., MIRRORED, :] * np.array([-1, 1], landmarks.dtype))


class Blocks:
    """Draws blocks of 30 frames such that neither class, no source and no clip dominates.

    Each class is drawn half of the time; within it a source as `chances` says; of a clip, any form, mirrored or not,
    from any frame on.
    """

    def __init__(
        self,
        tracks: Sequence[Sequence[Track]],
        fake: np.ndarray,
        group: np.ndarray,
        one_label: float | None = None,
        power: float = 0.5,
    ) -> None:
        """tracks: per clip, those of its forms; fake bool (n,); group int (n,); one_label, power as in `chances`."""
        begin = 0
        starts: list[list[np.ndarray]] = [[] for _ in tracks]
        for own, forms in zip(starts, tracks, strict=True):
            for track in forms:
                own.append(begin + readable_from(track))
                begin += len(track.calibrated)
        self._frames = np.concatenate([track.calibrated for forms in tracks for track in forms])
        self._starts = np.concatenate([start for own in starts for start in own])
        self._count = np.array([sum(map(len, own)) for own in starts])
        self._first = np.cumsum(self._count) - self._count
        self._fake = fake
        self._chance = chances(fake, group, self._count > 0, one_label, power)
        _, self.cell = np.unique(2 * group + fake, return_inverse=True)
        """int (n,), the same for clips that share their source and their label."""

    def draw(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """Landmarks float32 (count, 30, 136), labels int64 (count,), and of which clips they are, int (count,)."""
        clips = rng.choice(len(self._fake), size=count, p=self._chance)
        starts = self._starts[self._first[clips] + rng.integers(self._count[clips])]
        x = self._frames[starts[:, None] + np.arange(BLOCK)]
        mirrored = rng.random(count) < 0.5
        x[mirrored] = flip(x[mirrored])
        label = torch.from_numpy(self._fake[clips].astype(np.int64))
        return torch.from_numpy(x.reshape(count, BLOCK, -1)), label, clips


def readable_from(track: Track) -> np.ndarray:
    """Positions at which a block can begin, int64 (k,): the detector's rules, but for how many blocks a clip needs."""
    low, high = RATE_HZ
    if not low <= track.quality.frame_rate_hz <= high or track.quality.repeated > MAX_REPEATED:
        return np.empty(0, np.int64)
    starts = np.concatenate([np.arange(s.start, s.stop - BLOCK + 1) for s in track.stretches()])
    lost = np.cumsum(np.concatenate([[0], ~track.seen]))
    return starts[lost[starts + BLOCK] - lost[starts] <= MAX_IMPUTED]


def chances(
    fake: np.ndarray, group: np.ndarray, usable: np.ndarray, one_label: float | None, power: float = 0.5
) -> np.ndarray:
    """How often each clip is drawn, float64 (n,), 1 in all: both classes alike, a source by this power of its clips.

    With `one_label`, that share goes to sources of one label, and in each of the others both labels are drawn alike:
    nothing is gained by knowing such a source. Both kinds of sources must then be there.
    """
    chance = np.zeros(len(fake))
    both = np.isin(group, np.intersect1d(group[usable & fake], group[usable & ~fake]))
    for label in (False, True):
        mine = usable & (fake == label)
        for g in np.unique(group[mine]):
            clips = mine & (group == g)
            alike = clips if one_label is None else usable & (group == g)
            chance[clips] = alike.sum() ** power / clips.sum()
        shares = [(1.0, mine)] if one_label is None else [(one_label, mine & ~both), (1 - one_label, mine & both)]
        for share, clips in shares:
            chance[clips] *= share / 2 / chance[clips].sum()
    return chance
