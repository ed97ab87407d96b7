"""GenD: does this face look manipulated to a network that has seen much of the world?

Source: GenD, arXiv 2508.06248, WACV 2026.
"""

from detectors.appearance import Appearance
from detectors.base import Card
from preprocessing.regions import REGIONS


class GenD(Appearance):
    card = Card(
        name="gend",
        title="GenD: look of the face",
        summary="Traces of manipulation in single frames, seen with CLIP's large vision network.",
        source="GenD, WACV 2026",
        regions=REGIONS,
        limits="The strongest on methods it has not seen, but blind to pictures that are generated whole, and slow on "
        "a CPU. The published demo answers 0 where it finds no face; here that is no answer.",
    )
    int8 = True
