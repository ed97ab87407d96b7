"""What the documents say is what the commands in them write."""

from pathlib import Path

from benchmarks.methods import DOCUMENT, MEASURED, METHODS, document, row
from detectors.networks import NETWORKS

PARITY = (1, 2)


def cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def rows(text: str) -> list[list[str]]:
    return [cells(line) for line in text.splitlines() if line.startswith("| **")]


def test_every_network_is_a_method() -> None:
    assert METHODS.keys() == NETWORKS.keys()


def test_the_table_of_methods_is_what_its_command_writes_apart_from_what_is_measured() -> None:
    def told(text: str) -> list[list[str]]:
        return [[cell for n, cell in enumerate(line) if n not in (*MEASURED, *PARITY)] for line in rows(text)]

    written = DOCUMENT.read_text(encoding="utf-8")
    assert len(told(written)) == len(METHODS)
    assert told(written) == told(document([row(name, ("", ""), {}) for name in METHODS]))


def test_the_parity_that_is_told_is_within_the_tolerance_of_the_specs() -> None:
    for line in rows(Path(DOCUMENT).read_text(encoding="utf-8")):
        for cell in (line[1], line[2].split(",")[0]):
            assert float(cell) <= 1e-3, line[0]
