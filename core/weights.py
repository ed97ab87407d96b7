"""From a manifest entry to verified files on disk; `weights_manifest.json` is the only list of weights there is.

`python -m core.weights list` shows what there is, `fetch ID` downloads an entry, `verify` hashes all that is present.
Nothing is ever downloaded on import or inside a user's request.
"""

import argparse
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError
from urllib.request import urlopen

from tqdm import tqdm

from core.errors import WeightsError
from core.settings import ROOT, Settings

log = logging.getLogger(__name__)

MANIFEST = ROOT / "weights_manifest.json"


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of an entry: `role` is the part it plays (such as `g1`), `address` a path in the tree or a URL."""

    role: str
    name: str
    address: str
    sha256: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit P(fake) = slope x logit(overall) + intercept, fitted on held-out scores of `n` clips.

    `covariance` is that of (slope, intercept), for the interval; `real_logit` the mean raw logit of the genuine clips.
    """

    slope: float
    intercept: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    real_logit: float
    data: str
    n: int


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

    @property
    def sha256(self) -> str:
        """One hash for the entry: of its only file, or over the hashes of its files in order."""
        if len(self.files) == 1:
            return self.files[0].sha256
        return hashlib.sha256("".join(f.sha256 for f in self.files).encode()).hexdigest()


def load_manifest(path: Path = MANIFEST) -> dict[str, Weights]:
    """Every entry by id, in the manifest's order, which is the order of preference within a detector."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {id: _entry(id, entry) for id, entry in entries.items()}


def locate(weights: Weights, settings: Settings) -> dict[str, Path]:
    """Verified files by role: in the tree, in the operator's folder, or fetched earlier.

    Raises:
        WeightsError: a file is absent or is not the one the manifest names.
    """
    return {file.role: _locate(weights, file, settings) for file in weights.files}


def fetch(weights: Weights, settings: Settings) -> dict[str, Path]:
    """Downloads what is missing into the data folder, verifies it and returns the files by role.

    Raises:
        WeightsError: the address cannot be reached, or what came is not the file the manifest names.
    """
    for file in weights.files:
        if _find(weights, file, settings) is None:
            if weights.source != "url":
                raise WeightsError(f"{weights.id} is not offered for download; place {file.name} in TELLTALE_WEIGHTS.")
            _download(file, _store(weights, settings) / file.name)
    return locate(weights, settings)


def _entry(id: str, entry: dict[str, Any]) -> Weights:
    files = tuple(WeightsFile(**f) for f in entry["files"])
    calibration = entry["calibration"] and Calibration(
        **entry["calibration"] | {"covariance": tuple(map(tuple, entry["calibration"]["covariance"]))}
    )
    return Weights(id=id, **entry | {"files": files, "calibration": calibration})


def _store(weights: Weights, settings: Settings) -> Path:
    return settings.data / "weights" / weights.detector


def _find(weights: Weights, file: WeightsFile, settings: Settings) -> Path | None:
    """The folder given by TELLTALE_WEIGHTS goes first, by detector or flat, then what was fetched."""
    if weights.source == "bundled":
        candidates = [ROOT / file.address]
    else:
        given = [settings.weights / weights.detector, settings.weights] if settings.weights else []
        candidates = [folder / file.name for folder in [*given, _store(weights, settings)]]
    return next((path for path in candidates if path.is_file()), None)


def _locate(weights: Weights, file: WeightsFile, settings: Settings) -> Path:
    path = _find(weights, file, settings)
    if path is None:
        raise WeightsError(
            f"The weights {weights.id} ({file.name}) are not on this machine; "
            f"`python -m core.weights fetch {weights.id}` downloads them, or name their folder in TELLTALE_WEIGHTS."
        )
    stat = path.stat()
    found = _sha256(path, stat.st_size, stat.st_mtime_ns)
    if found != file.sha256:
        raise WeightsError(
            f"{file.name} is not the file the manifest names for {weights.id}: expected SHA-256 {file.sha256[:12]}…, "
            f"found {found[:12]}…; delete it and fetch it again."
        )
    return path


@cache
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """Hashed once per state of the file, not once per analysis."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(file: WeightsFile, target: Path) -> None:
    """Into a temporary file beside the target, renamed only when the hash is right."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as partial:
        try:
            with urlopen(file.address, timeout=30) as reply, tqdm(total=file.bytes, unit="B", unit_scale=True) as bar:
                while chunk := reply.read(1 << 16):
                    partial.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
            if digest.hexdigest() != file.sha256:
                raise WeightsError(
                    f"What came from {file.address} is not {file.name}: expected SHA-256 {file.sha256[:12]}…, "
                    f"found {digest.hexdigest()[:12]}…; nothing was kept."
                )
            os.replace(partial.name, target)
        except URLError as error:
            raise WeightsError(
                f"{file.address} could not be reached ({error.reason}); try again later, "
                f"or place {file.name} in the folder named by TELLTALE_WEIGHTS."
            ) from error
        finally:
            Path(partial.name).unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m core.weights", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every entry, and whether it is here")
    commands.add_parser("verify", help="hash all that is here")
    commands.add_parser("fetch", help="download one entry").add_argument("id")
    given = parser.parse_args(arguments)
    settings, manifest = Settings.from_env(os.environ), load_manifest()
    if given.command == "fetch":
        if given.id not in manifest:
            parser.error(f"unknown id {given.id!r}; `list` shows them all")
        for path in fetch(manifest[given.id], settings).values():
            print(path)
        return 0
    wrong = 0
    for weights in manifest.values():
        try:
            locate(weights, settings)
            state = "ready"
        except WeightsError as error:
            state = str(error)
            wrong += "is not the file" in state
        print(f"{weights.id:24} {weights.licence:12} {state}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
