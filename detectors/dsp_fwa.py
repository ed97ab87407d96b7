"""DSP-FWA: was this face warped to fit into the frame?

Sources: Li & Lyu, "Exposing DeepFake Videos By Detecting Face Warping Artifacts", CVPRW 2019; the pyramid: Li et al.,
"Celeb-DF", CVPR 2020.
"""

import numpy as np

from detectors.appearance import Appearance
from detectors.base import Card
from preprocessing.regions import REGIONS


class DSPFWA(Appearance):
    card = Card(
        name="dsp_fwa",
        title="DSP-FWA: traces of warping",
        summary="Whether a face was scaled and warped to fit into single frames.",
        source="Li & Lyu, CVPRW 2019",
        regions=REGIONS,
        limits="Made for the first generation of face swaps; compression hides what it looks for. "
        "The published demo answers -1 for frames without a face; here these are left out.",
        heat="What each place adds to the score of that crop which looks most warped.",
        cost=1.2,
    )

    @staticmethod
    def merge_views(fake: np.ndarray) -> np.ndarray:
        """The mean of the upper half of its crops, as published for ten."""
        views = fake.shape[1]
        return np.sort(fake, axis=1)[:, views // 2 :].mean(axis=1)
