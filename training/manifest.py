"""Entries of `weights_manifest.json`, as trainings write them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.settings import ROOT
from core.weights import MANIFEST
from core.weights.store import sha256_of


def bundled_file(role: str, path: Path) -> dict[str, Any]:
    """What an entry says of a file that lies in the tree."""
    return file_facts(role, path, address=path.relative_to(ROOT).as_posix())


def file_facts(role: str, path: Path, *, address: str) -> dict[str, Any]:
    """What an entry says of one of its files."""
    return {
        "role": role,
        "name": path.name,
        "address": address,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
    }


def put(entries: Mapping[str, Mapping[str, Any]], *, first: bool = True, manifest: Path = MANIFEST) -> None:
    """Writes the entries by id, before all others or after them, and leaves the others as they are.

    The order of a detector's sets is that in which people are offered them.
    """
    others = {id: entry for id, entry in read(manifest).items() if id not in entries}
    ordered = {**entries, **others} if first else {**others, **entries}
    partial = manifest.with_suffix(".partial")
    partial.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(manifest)


def read(manifest: Path = MANIFEST) -> dict[str, dict[str, Any]]:
    """The entries by id, as they are written."""
    return dict(json.loads(manifest.read_text(encoding="utf-8")))
