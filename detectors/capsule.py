"""Capsule-Forensics: ten small networks look at one map of the face and decide by agreement.

Source: Nguyen, Yamagishi, Echizen, "Use of a Capsule Network to Detect Fake Images and Videos", arXiv 1910.12467.
"""

from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit

from detectors.appearance import Appearance, against
from detectors.base import Card
from preprocessing.regions import REGIONS

LOWEST = expit(-1.0)
"""Votes are shorter than 1, so the network's probability cannot fall below this, nor rise above 1 less this."""


class Capsule(Appearance):
    card = Card(
        name="capsule",
        title="Capsule: parts of the face",
        summary="Whether ten small networks agree that single frames are manipulated.",
        source="Nguyen et al., arXiv 2019",
        regions=REGIONS,
        limits="Learned FaceForensics++; much weaker on newer methods. The second softmax that published evaluations "
        "apply is left out, and the narrow range of its answers is stretched to 0 to 1.",
        heat="Grad-CAM: places whose features would raise the score most if there were more of them.",
        cost=4,
    )

    def log_odds(self, tensor: np.ndarray) -> np.ndarray:
        (votes,) = self._engine.run(tensor)
        return logit(stretched(expit(against(votes.astype(np.float64), self._profile.fake_index)).mean(axis=1)))

    def answer(self, output: Any) -> torch.Tensor:
        fake: torch.Tensor = against(output, self._profile.fake_index).sigmoid().mean(dim=1)
        return fake


def stretched(fake: np.ndarray) -> np.ndarray:
    """P(fake) in [0, 1] from what the network can say."""
    return np.clip((fake - LOWEST) / (1 - 2 * LOWEST), 0, 1)
