"""Is the log of what was done to reports whole?"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from core.errors import AppError
from core.settings import Settings
from storage.audit import AuditLog, Entry, Head, verify
from storage.database import check


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify", help="find the first entry that was altered, removed or inserted")
    verifying.add_argument("file", type=Path, nargs="?", help="an export; without it, the log of the database")
    exporting = commands.add_parser("export", help="write the log as JSON lines, the head first")
    exporting.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "verify" and given.file:
            return _verify(*_load(given.file))
        url = Settings.from_env(os.environ).database_url
        check(url)
        head, entries = AuditLog(url).read()
        return _verify(head, entries) if given.command == "verify" else _export(head, entries, given.file)
    except (AppError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _verify(head: Head, entries: Iterator[Entry]) -> int:
    flaw = verify(entries, head)
    print(f"Entry {flaw.number} {flaw.sentence}" if flaw else f"{head.count} entries hold; the last is {head.hash}")
    return 1 if flaw else 0


def _export(head: Head, entries: Iterator[Entry], file: Path) -> int:
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(record) + "\n" for record in chain([asdict(head)], map(asdict, entries)))
    return 0


def _load(file: Path) -> tuple[Head, Iterator[Entry]]:
    def parsed(record: type[Head] | type[Entry], number: int, line: str) -> Any:
        try:
            return record(**json.loads(line))
        except (TypeError, ValueError) as error:
            raise AppError(f"Line {number} of {file} is not the {record.__name__.lower()} of a log.") from error

    lines = file.read_text(encoding="utf-8").splitlines()
    return parsed(Head, 1, lines[0] if lines else ""), (parsed(Entry, i, line) for i, line in enumerate(lines[1:], 2))


if __name__ == "__main__":
    raise SystemExit(main())
