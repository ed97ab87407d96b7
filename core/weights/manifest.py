"""What `weights_manifest.json` says: every set of weights, where its files come from, and under which terms."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.settings import ROOT

MANIFEST = ROOT / "weights_manifest.json"

UNMEASURED_AUC = 0.6
"""What nobody measured has a say beside others, all such the same, and less of one than what is known to work."""
LEAST_RELIABILITY = 0.05
"""Of a method at chance: an AUC from few clips is no reason to silence it, and what it says is near 0 already."""


def reliability(auc: float) -> float:
    """A weight in [0.05, 1] from an AUC: 2 AUC - 1 (Somers' D)."""
    return max(LEAST_RELIABILITY, 2 * auc - 1)


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of an entry: `role` is the part it plays (such as `g1`), `name` what its publisher calls it.

    `address` is a path in the tree, a URL, or `hf://owner/repository@revision/path` on the Hub; for files that nobody
    can fetch, the place where a person finds them. `sha256` is that of the published file, None where nobody has
    published it; the hash that git keeps of a file may stand in.
    """

    role: str
    name: str
    address: str
    sha256: str | None
    bytes: int | None
    git_sha1: str | None = None
    convert: bool = False
    """Kept as safetensors, not as published."""
    keep: str | None = None
    """Pattern of the names of the tensors that are kept when it is converted; None for all."""
    holds: Mapping[str, list[int]] = field(default_factory=dict, hash=False)
    """Ends of names and shapes of tensors that must be in it: all there is to go by where no hash is known."""

    @property
    def is_known(self) -> bool:
        """There is a hash to hold a file against."""
        return bool(self.sha256 or self.git_sha1)


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit P(fake) = slope x logit(overall) + intercept, fitted on held-out scores of `n` clips.

    `covariance` is that of (slope, intercept), for the interval; `real_logit` the mean raw logit of the genuine clips;
    `auc` that of the same scores, None where nobody wrote it down.
    """

    slope: float
    intercept: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    real_logit: float
    data: str
    n: int
    auc: float | None = None

    @property
    def reliability(self) -> float:
        """The weight beside other methods, in [0, 1]: how far the AUC is above chance, on a scale that ends at 1."""
        return reliability(self.auc if self.auc is not None else UNMEASURED_AUC)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """One manifest entry: one network, trained once, for one region. Equal only to itself: a manifest is read once."""

    id: str
    detector: str
    region: str
    source: Literal["bundled", "hub", "url", "manual"]
    files: tuple[WeightsFile, ...]
    licence: str
    commercial_use: bool
    auto_download: bool
    trained_on: str
    paper: str
    input: Mapping[str, Any]
    calibration: Calibration | None
    measured: str | None
    """One sentence: accuracy, on what, with its interval; None where nobody measured."""
    referenced: Calibration | None = None
    """Holds for scores from which those of reference clips were taken off, where that was measured apart."""
    terms: str | None = None
    """One sentence: what the licence asks, where its name does not say it all."""

    @property
    def sha256(self) -> str:
        """One hash for the entry: of its only file, or over those of its files in order; empty if one is unknown."""
        known = [file.sha256 for file in self.files if file.sha256]
        if len(known) < len(self.files):
            return ""
        return known[0] if len(known) == 1 else hashlib.sha256("".join(known).encode()).hexdigest()


def hub_address(address: str) -> tuple[str, str, str]:
    """Repository, revision and path of an `hf://` address."""
    parts = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)@([0-9a-f]{40})/(.+)", address)
    if not parts:
        raise ValueError(f"expected hf://owner/repository@revision/path, got {address!r}")
    return parts[1], parts[2], parts[3]


def load_manifest(path: Path = MANIFEST) -> dict[str, Weights]:
    """Every entry by id, in the manifest's order, which is the order of preference within a detector."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {id: _weights(id, _whole(entry, entries)) for id, entry in entries.items()}


def _whole(entry: dict[str, Any], entries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """An entry that is `like` another one says only what is different, of its files too."""
    if "like" not in entry:
        return entry
    model = entries[entry["like"]]
    own = {key: value for key, value in entry.items() if key != "like"}
    files = [a | b for a, b in zip(model["files"], own.get("files", [{}] * len(model["files"])), strict=True)]
    return model | own | {"files": files}


def _weights(id: str, entry: dict[str, Any]) -> Weights:
    files = tuple(WeightsFile(**f) for f in entry["files"])
    calibrations = {
        name: Calibration(**found | {"covariance": tuple(map(tuple, found["covariance"]))})
        for name in ("calibration", "referenced")
        if (found := entry.get(name))
    }
    return Weights(id=id, **entry | {"files": files} | calibrations)
