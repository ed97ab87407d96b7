"""log.csv of a cache: what became of each sample, written down as soon as it is known."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from training.prepared import KINDS, Made, write_rows

NOTHING = Made((), 0.0, 0, 0.0, 0.0)
COLUMNS = ("at", "id", "asked", "kinds", "score", "frames", "rate_hz", "face_px", "reason")
"""Of log.csv: when a sample was read, the kinds that were asked for and those that were made, what `Made` says, and why
something is lacking. A later line on the same sample adds to the ones before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the log knows of a sample; `reason` is empty where nothing is lacking."""

    asked: frozenset[str]
    made: Made
    reason: str


class Journal:
    """log.csv: a line for each sample as soon as it is finished, so that a killed run knows what is done."""

    def __init__(self, path: Path) -> None:
        self.entries: dict[str, Entry] = {}
        rows = []
        if path.exists():
            # Of a run that was killed while it wrote, the last line may be cut short and counts for nothing.
            rows = list(csv.DictReader(path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()))
        for row in rows:
            self._take(row["id"], _entry(row))
        write_rows(path, COLUMNS, rows)
        self._stream = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._stream, COLUMNS)

    def add(self, id: str, entry: Entry) -> None:
        self._writer.writerow(
            {
                "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
                "id": id,
                "asked": " ".join(sorted(entry.asked)),
                "kinds": " ".join(entry.made.kinds),
                **{name: getattr(entry.made, name) for name in ("score", "frames", "rate_hz", "face_px")},
                "reason": " ".join(entry.reason.split()),
            }
        )
        self._stream.flush()
        self._take(id, entry)

    def close(self) -> None:
        self._stream.close()

    def _take(self, id: str, entry: Entry) -> None:
        before = self.entries.get(id)
        if before:
            kinds = tuple(kind for kind in KINDS if kind in before.made.kinds + entry.made.kinds)
            made = replace(entry.made if entry.made.kinds else before.made, kinds=kinds)
            entry = Entry(before.asked | entry.asked, made, entry.reason)
        self.entries[id] = entry


def _entry(row: Mapping[str, str]) -> Entry:
    numbers = {name: float(row[name]) for name in ("score", "rate_hz", "face_px")}
    made = Made(kinds=tuple(row["kinds"].split()), frames=int(row["frames"]), **numbers)
    return Entry(frozenset(row["asked"].split()), made, row["reason"])
