"""The weights on this machine: where they lie, whether they are what the manifest names, and what is still to be done.

Each file lies at `<detector>/<its published name>`; a converted one ends in `.safetensors`, beside a record of its hash
and of the file it was made from. The folder given by TELLTALE_WEIGHTS goes before our own.
"""

import hashlib
import json
import os
import re
import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal, Self

from core.errors import WeightsError
from core.files import hash_of
from core.settings import ROOT, Settings
from core.weights.manifest import Weights, WeightsFile, hub_address

COMMAND = "python -m core.weights"

Kind = Literal["ready", "fetch", "accept", "bring", "refused"]


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a converted file: its SHA-256, and name and SHA-256 of the published file it was made from."""

    sha256: str
    source: str
    source_sha256: str

    def __post_init__(self) -> None:
        for digest in (self.sha256, self.source_sha256):
            if not re.fullmatch("[0-9a-f]{64}", digest):
                raise ValueError(f"{digest!r} is no SHA-256")

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise WeightsError(f"The record of a converted file cannot be read ({error}); import it again.") from error


@dataclass(frozen=True, slots=True)
class State:
    """What it takes to use an entry here.

    `reason` is a sentence for people, None when ready; `command` what an operator types, None where there is nothing
    to type.
    """

    kind: Kind
    reason: str | None = None
    command: str | None = None


def state(weights: Weights, settings: Settings) -> State:
    """Ready, can be fetched, has a licence to accept first, must be brought by hand, or is not what was published."""
    return _look(weights, settings)[0]


def locate(weights: Weights, settings: Settings) -> dict[str, Path]:
    """Verified files by role: in the tree, in the operator's folder, or fetched or imported earlier.

    Raises:
        WeightsError: a file is absent or is not the one the manifest names.
    """
    found, files = _look(weights, settings)
    if found.reason:
        raise WeightsError(found.reason)
    return files


def as_found(weights: Weights, settings: Settings) -> Weights:
    """The entry with the hashes of the files that are here, where the manifest knows none: what a report must name."""
    if all(file.sha256 for file in weights.files):
        return weights
    return _with_hashes(weights, tuple(file.sha256 or _source_hash(weights, file, settings) for file in weights.files))


def find(weights: Weights, file: WeightsFile, settings: Settings) -> Path | None:
    """Where the file that would be used lies; not yet verified."""
    if weights.source == "bundled":
        candidates = [ROOT / file.address]
    elif file.convert:
        candidates = [folder / converted_name(weights, file) for folder in _folders(settings)]
        candidates = [path for path in candidates if record_of(path).is_file()]
    else:
        below = (weights.detector, ".")
        candidates = [folder / where / file.name for folder in _folders(settings) for where in below]
        candidates += [_preloaded(file)] if weights.source == "hub" else []
    return next((path for path in candidates if path.is_file()), None)


def _preloaded(file: WeightsFile) -> Path:
    """Where the Hub's client keeps a file unless told otherwise: there a Space finds what its card preloads."""
    repository, revision, path = hub_address(file.address)
    cache = Path(os.path.expanduser("~/.cache/huggingface/hub"))
    return cache / f"models--{repository.replace('/', '--')}" / "snapshots" / revision / path


def store(settings: Settings) -> Path:
    return settings.data / "weights"


def converted_name(weights: Weights, file: WeightsFile) -> str:
    """Where a converted file lies, below a folder of weights and in a repository of them.

    By its published name, since sets may share a file.
    """
    return f"{weights.detector}/{Path(file.name).stem}.safetensors"


def record_of(path: Path) -> Path:
    return path.with_suffix(".json")


def check(file: WeightsFile, path: Path) -> str:
    """The SHA-256 of a file that claims to be the published one.

    Raises:
        WeightsError: it is another file.
    """
    found = sha256_of(path)
    facts = [
        ("size in bytes", file.bytes, path.stat().st_size),
        ("SHA-256", file.sha256, found),
        ("git SHA-1", file.git_sha1, file.git_sha1 and _git_sha1(path)),
    ]
    for fact, expected, actual in facts:
        if expected not in (None, actual):
            raise WeightsError(f"This is not {file.name}: expected {fact} {expected}, found {actual}.")
    return found


def sha256_of(path: Path) -> str:
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


def accept(licence: str, settings: Settings) -> None:
    """Writes down that the operator accepted this licence, and when."""
    accepted = _accepted(settings)
    if licence not in accepted:
        path = store(settings) / "licences.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        accepted[licence] = datetime.now(UTC).isoformat(timespec="seconds")
        path.write_text(json.dumps(accepted, indent=2) + "\n", encoding="utf-8")


def require_consent(weights: Weights, settings: Settings) -> None:
    """Open licences need no consent; those that restrict the use are accepted by name first.

    Raises:
        WeightsError: this one was not.
    """
    if not _has_consent(weights, settings):
        raise WeightsError(
            f"The licence of {weights.id} has to be accepted first: {_terms(weights)}. When you have read it and "
            f"agree, run the command again with --accept-license {shlex.quote(weights.licence)}."
        )


def by_hand(file: WeightsFile, command: str) -> str:
    """What a person does where nothing can be downloaded."""
    return f"get {file.name} from {file.address}; `{command}` checks and keeps it"


def _look(weights: Weights, settings: Settings) -> tuple[State, dict[str, Path]]:
    found = {file: find(weights, file, settings) for file in weights.files}
    missing = [file for file, path in found.items() if path is None]
    if missing:
        return _way(weights, missing, settings), {}
    files = {file.role: path for file, path in found.items() if path}
    try:
        for file in weights.files:
            _verify(weights, file, files[file.role])
    except WeightsError as error:
        return State("refused", str(error)), {}
    return State("ready"), files


def _way(weights: Weights, missing: list[WeightsFile], settings: Settings) -> State:
    """From absent files to usable ones: one sentence and one command."""
    is_agreed = _has_consent(weights, settings)
    option = "" if is_agreed else f" --accept-license {shlex.quote(weights.licence)}"
    kind: Kind
    if _can_fetch(weights, missing, settings):
        kind, command = "fetch", f"{COMMAND} fetch {weights.id}{option}"
        way = f"`{command}` downloads them"
        if not any(file.convert for file in missing):
            way += ", or name their folder in TELLTALE_WEIGHTS"
    else:
        kind, command = "bring", f"{COMMAND} import {weights.id} {shlex.quote(missing[0].name)}{option}"
        way = by_hand(missing[0], command)
    reason = f"The weights {weights.id} ({' and '.join(file.name for file in missing)}) are not on this machine; "
    if is_agreed:
        return State(kind, f"{reason}{way}.", command)
    return State("accept", f"{reason}their licence has to be accepted first: {_terms(weights)}. Then {way}.", command)


def _has_consent(weights: Weights, settings: Settings) -> bool:
    return weights.commercial_use or weights.licence in _accepted(settings)


def _terms(weights: Weights) -> str:
    return f"{weights.licence} ({weights.terms})" if weights.terms else weights.licence


def _can_fetch(weights: Weights, missing: list[WeightsFile], settings: Settings) -> bool:
    """There is an address and a hash to check what comes; or a repository of the operator's, which may have it."""
    if settings.hub_namespace and all(file.convert for file in missing):
        return True
    return weights.source in ("hub", "url") and all(file.is_known for file in missing)


def _folders(settings: Settings) -> list[Path]:
    return [folder for folder in (settings.weights, store(settings)) if folder]


def _verify(weights: Weights, file: WeightsFile, path: Path) -> None:
    wanted = file.sha256 or ""
    if file.convert:
        record = Record.parse(record_of(path).read_bytes())
        if file.sha256 not in (None, record.source_sha256):
            raise WeightsError(
                f"{path.name} was not made from the {file.name} that the manifest names; import it again."
            )
        wanted = record.sha256
    found = sha256_of(path)
    if found != wanted:
        raise WeightsError(
            f"{path.name} is not the file the manifest names for {weights.id}: expected SHA-256 {wanted[:12]}…, "
            f"found {found[:12]}…; delete it and fetch or import it again."
        )


def _source_hash(weights: Weights, file: WeightsFile, settings: Settings) -> str | None:
    path = find(weights, file, settings)
    try:
        return Record.parse(record_of(path).read_bytes()).source_sha256 if path else None
    except WeightsError:
        return None  # as `state` tells


@cache
def _with_hashes(weights: Weights, hashes: tuple[str | None, ...]) -> Weights:
    """The same object for the same hashes, since weights are equal only to themselves."""
    return replace(weights, files=tuple(replace(f, sha256=h) for f, h in zip(weights.files, hashes, strict=True)))


def _accepted(settings: Settings) -> dict[str, str]:
    path = store(settings) / "licences.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


@cache
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """Hashed once per state of the file, not once per analysis."""
    return hash_of(path)


def _git_sha1(path: Path) -> str:
    """What git calls this content: SHA-1 over a header and the bytes."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
