"""Xception: do the pixels of this face look manipulated?

Sources: Rössler et al., "FaceForensics++: Learning to Detect Manipulated Facial Images", ICCV 2019; a second set of
weights: Yan et al., "DeepfakeBench", NeurIPS 2023.
"""

from detectors.appearance import Appearance
from detectors.base import Card
from preprocessing.regions import REGIONS


class Xception(Appearance):
    card = Card(
        name="xception",
        title="Xception: look of the face",
        summary="Traces of manipulation in the pixels of single frames.",
        source="Rössler et al., ICCV 2019",
        regions=REGIONS,
        limits="Learned the four methods of FaceForensics++; much weaker on newer methods and on strong compression. "
        "One half is no calibrated threshold.",
        heat="What each place adds to the score.",
        cost=2.5,
    )
