"""What weights there are, and how they come to this machine."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import AppError, WeightsError
from core.settings import Settings
from core.weights.conversion import import_file
from core.weights.hub import fetch, publish
from core.weights.manifest import MANIFEST, Weights, load_manifest
from core.weights.store import COMMAND, accept, state


def main(arguments: list[str] | None = None, *, manifest: Path = MANIFEST) -> int:
    """The command line; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    sets = load_manifest(manifest)
    chosen = _chosen(getattr(given, "what", None), sets)
    if not chosen:
        parser.error(f"there is no set or detector called {given.what!r}; `list` shows them all")
    licences = {weights.licence for weights in chosen}
    try:
        settings = Settings.from_env(os.environ)
        for licence in getattr(given, "accept_license", []):
            if licence not in licences:
                parser.error(f"{licence!r} is not the licence of {given.what}, but {' or '.join(sorted(licences))}")
            accept(licence, settings)
        _keep_at_home(settings)
        return _run(given, chosen, settings)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every set, and what it takes to use it here")
    commands.add_parser("verify", help="hash all that is here")
    fetching = commands.add_parser("fetch", help="download a set, or all of a detector's that may be downloaded")
    fetching.add_argument("what", metavar="SET|DETECTOR")
    importing = commands.add_parser("import", help="take in a file that you brought: check, convert, record its hash")
    importing.add_argument("what", metavar="SET")
    importing.add_argument("file", type=Path)
    importing.add_argument("--role", help="which file of the set it is, if its name does not say so")
    for command in (fetching, importing):
        command.add_argument(
            "--accept-license", metavar="NAME", action="append", default=[], help="you have read it and agree"
        )
    publishing = commands.add_parser("publish", help="put converted files into a repository of yours on the Hub")
    publishing.add_argument("repository", metavar="OWNER/NAME")
    publishing.add_argument("what", metavar="SET|DETECTOR", nargs="?", help="all sets if none is named")
    return parser


def _chosen(what: str | None, sets: Mapping[str, Weights]) -> list[Weights]:
    if what is None:
        return list(sets.values())
    return [sets[what]] if what in sets else [weights for weights in sets.values() if weights.detector == what]


def _run(given: argparse.Namespace, chosen: list[Weights], settings: Settings) -> int:
    if given.command == "publish":
        print(f"TELLTALE_HUB_NAMESPACE={publish(given.repository, chosen, settings)}")
        return 0
    if given.command == "import":
        if len(chosen) > 1:
            raise WeightsError(f"Which set of {given.what} is it? {', '.join(weights.id for weights in chosen)}.")
        print(import_file(chosen[0], given.file, settings, given.role))
    elif given.command == "fetch":
        _fetch(given.what, chosen, settings)
    states = {weights.id: (weights, state(weights, settings)) for weights in chosen}
    for id, (weights, found) in states.items():
        print(f"{id:34} {weights.licence:20} {found.kind:8} {found.command or found.reason or ''}".rstrip())
    kinds = {found.kind for _, found in states.values()}
    return 1 if "refused" in kinds or (given.command == "fetch" and "ready" not in kinds) else 0


def _fetch(what: str, chosen: list[Weights], settings: Settings) -> None:
    """One set, or of a detector's sets those that may be downloaded: the others need a licence or a file first."""
    if what == chosen[0].id:
        fetch(chosen[0], settings)
        return
    for weights in chosen:
        if state(weights, settings).kind == "fetch":
            fetch(weights, settings)


def _keep_at_home(settings: Settings) -> None:
    """The Hub's client, not yet imported, writes below the data folder and reads the operator's own token."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    os.environ.setdefault("HF_TOKEN_PATH", str(home / "token"))
    os.environ |= {"HF_HOME": str(settings.data / "cache" / "huggingface"), "HF_HUB_DISABLE_TELEMETRY": "1"}


if __name__ == "__main__":
    raise SystemExit(main())
