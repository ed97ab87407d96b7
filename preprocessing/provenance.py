"""C2PA credentials: what a file says of its own origin. They never enter a score.

The library that reads them is native code at work on a hostile file, so it works in a confined process that may be
killed, is told to fetch nothing, and is asked at all only where the file holds a mark of credentials.
`python -m preprocessing.provenance FILE` is that child.
"""

import json
import mmap
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from core.settings import ROOT
from core.types import Provenance
from preprocessing.confinement import confine, surroundings

MARKS = (b"c2pa", b"dcterms:provenance")
"""One of them is in every file with credentials: the label of their box, or the tag of an address where they lie."""
LIMIT_S = 20.0
MEMORY_BYTES = 4 << 30
"""Of addresses, most of which are never touched."""
MAX_CHARACTERS, MAX_ITEMS = 200, 20
"""Of a text, and of a list of texts, from the file."""

OFFLINE = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": []},
}
NO_TRUST_LIST = "signingCredential.untrusted"
"""Said of every signature, since there is no list of trusted issuers to hold it against."""


def read_provenance(path: Path) -> Provenance:
    """The credentials of a file; whatever is wrong with them is part of the answer."""
    if not _is_marked(path):
        return Provenance("absent")
    try:
        child = subprocess.run(
            [sys.executable, "-m", "preprocessing.provenance", str(path.resolve())],
            cwd=ROOT,
            env=surroundings(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return _unreadable(f"reading them took longer than {LIMIT_S:.0f} s")
    if child.returncode:
        return _unreadable("the reader failed on them")
    return _bounded(json.loads(child.stdout))


def _is_marked(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(mark) >= 0 for mark in MARKS)


def _read(path: Path, c2pa: ModuleType) -> Provenance:
    """In the child: what the library, which the app itself never loads, says of the file."""
    kind = _kind(path)
    if kind is None:
        return Provenance("absent")
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(OFFLINE)) as context,
            path.open("rb") as file,
            c2pa.Reader(kind, file, context=context) as reader,
        ):
            return _told(json.loads(reader.json()), reader.get_validation_state())
    except c2pa.C2paError.ManifestNotFound:
        return Provenance("absent")
    except c2pa.C2paError as error:
        if str(error).startswith("Remote"):
            return _unreadable(f"they lie at another address, and nothing is fetched from there ({error})")
        return _unreadable(str(error))


def _kind(path: Path) -> str | None:
    """The kind of file, by its first bytes; None for those in which C2PA has no place for credentials."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "video/mp4"
    return "avi" if head[:4] == b"RIFF" and head[8:] == b"AVI " else None


def _told(store: Mapping[str, Any], state: str | None) -> Provenance:
    manifest = store["manifests"][store["active_manifest"]]
    signature = manifest.get("signature_info") or {}
    wrong = [s for s in store.get("validation_status") or () if s.get("code") != NO_TRUST_LIST]
    return Provenance(
        status="intact" if state in ("Valid", "Trusted") else "broken",
        signer=_joined([signature.get("common_name"), signature.get("issuer")]),
        signed_at=signature.get("time"),
        generator=_joined(
            f"{info.get('name', '')} {info.get('version') or ''}".strip()
            for info in manifest.get("claim_generator_info") or ()
        )
        or manifest.get("claim_generator"),
        title=manifest.get("title"),
        actions=tuple(_actions(manifest)),
        ingredients=tuple(str(part.get("title") or "untitled") for part in manifest.get("ingredients") or ()),
        problems=tuple(f"{s.get('explanation') or 'no explanation'} ({s.get('code')})" for s in wrong),
    )


def _actions(manifest: Mapping[str, Any]) -> Iterator[str]:
    for assertion in manifest.get("assertions") or ():
        if str(assertion.get("label")).startswith("c2pa.actions"):
            for action in assertion.get("data", {}).get("actions") or ():
                agent = action.get("softwareAgent")
                # The source is an address whose last part says it all, such as trainedAlgorithmicMedia.
                source = str(action.get("digitalSourceType") or "").rsplit("/", 1)[-1]
                with_what = _joined([agent.get("name") if isinstance(agent, dict) else agent, source])
                yield str(action.get("action")) + (f" ({with_what})" if with_what else "")


def _joined(texts: Iterable[object]) -> str | None:
    return ", ".join(str(text) for text in texts if text) or None


def _unreadable(why: str) -> Provenance:
    return Provenance("unreadable", problems=(why,))


def _bounded(told: Mapping[str, Any]) -> Provenance:
    """The record of the child's answer, with texts and lists cut, and without characters that only steer a reader."""

    def cut(text: object) -> str:
        text = str(text)
        shown = text[:MAX_CHARACTERS] + "…" * (len(text) > MAX_CHARACTERS)
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)

    def bounded(value: object) -> object:
        if isinstance(value, list):
            more = len(value) - MAX_ITEMS
            return (*map(cut, value[:MAX_ITEMS]), *([f"and {more} more"] if more > 0 else []))
        return None if value is None else cut(value)

    return Provenance(**{field.name: bounded(told[field.name]) for field in fields(Provenance)})  # type: ignore[arg-type]


if __name__ == "__main__":
    import c2pa

    confine(memory_bytes=MEMORY_BYTES, cpu_s=int(LIMIT_S))
    print(json.dumps(asdict(_read(Path(sys.argv[1]), c2pa))))
