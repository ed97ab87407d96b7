"""A loss for the groups that fare worst, so that none is given up for the sake of the mean (group DRO).

Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020, algorithm 1.
"""

import numpy as np


class WorstGroups:
    """What each of `count` groups counts: all alike at first, then more by the exponential of `step` times its loss."""

    def __init__(self, count: int, step: float) -> None:
        self._share, self._step = np.full(count, 1 / count), step

    def weigh(self, loss: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Takes in the losses (n,) of samples of these groups, int (n,); what each sample counts, float (n,), 1 in all.

        A group without samples stays as it is.
        """
        count = np.bincount(group, minlength=len(self._share))
        mean = np.bincount(group, loss, len(self._share)) / np.maximum(count, 1)
        self._share = self._share * np.exp(self._step * mean)
        self._share /= self._share.sum()
        weight = (self._share / np.maximum(count, 1))[group]
        return np.asarray(weight / weight.sum(), loss.dtype)
