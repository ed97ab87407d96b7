"""From a manifest entry to verified files on disk; `weights_manifest.json` is the only list of weights there is.

`python -m core.weights` is the operator's side of it: what there is, and how it comes here. Nothing is ever downloaded
on import or inside a user's request, and nothing is used whose hash was not checked.
"""

from core.weights.hub import fetch
from core.weights.manifest import (
    MANIFEST,
    UNMEASURED_AUC,
    Calibration,
    Weights,
    WeightsFile,
    load_manifest,
    reliability,
)
from core.weights.store import State, as_found, locate, state

__all__ = [
    "MANIFEST",
    "UNMEASURED_AUC",
    "Calibration",
    "State",
    "Weights",
    "WeightsFile",
    "as_found",
    "fetch",
    "load_manifest",
    "locate",
    "reliability",
    "state",
]
