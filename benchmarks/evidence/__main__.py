"""How well the app tells manipulated from genuine clips, by its own `analyze` over a labelled list.

    python -m benchmarks.evidence --clips LIST.csv [--detectors NAME ...] [--sweep [FORM ...]] [--out FOLDER]

Prints the tables and stores them in FOLDER, with figures. A killed run goes on where it was.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.evidence.answers import REFERENCED, Answer, ask, plan, references
from benchmarks.evidence.figures import page
from benchmarks.evidence.scores import put_in
from benchmarks.evidence.table import Evidence, as_csv, as_json, as_markdown, gather
from core.errors import AppError, InputError
from core.settings import VERSION, Settings
from core.types import Options
from training.clips import SWEEP, read_clips
from training.out_of_fold import ORIGINAL, OutOfFold, read_out_of_fold


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evidence", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="CSV of labelled clips, paths relative to its folder")
    parser.add_argument("--detectors", nargs="*", default=[], help="names, or sets of weights; all that are ready")
    parser.add_argument(
        "--sweep", nargs="*", choices=SWEEP, metavar="FORM", help=f"also re-encoded: {'; '.join(SWEEP)}; all by default"
    )
    parser.add_argument(
        "--out-of-fold",
        type=Path,
        nargs="*",
        default=[],
        metavar="CSV",
        help="scores to take in place of the app's own",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes; each uses all cores by itself")
    parser.add_argument("--out", type=Path, help="folder of the results; evidence/ below TELLTALE_DATA by default")
    arguments = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ)
        folder = given.out or settings.data / "evidence"
        evidence = _measure(given, folder, settings)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    made_by = {"command": f"python -m benchmarks.evidence {shlex.join(arguments)}", "app_version": VERSION}
    _store(evidence, folder, made_by)
    return 0


def _measure(given: argparse.Namespace, folder: Path, settings: Settings) -> Evidence:
    clips = read_clips(given.clips)
    replaced: OutOfFold = {}
    for path in given.out_of_fold:
        scores = read_out_of_fold(path)
        if unknown := {form for _, form in scores} - {ORIGINAL, *SWEEP}:
            raise InputError(
                f"{path.name} has the forms {', '.join(sorted(unknown))}; there are {ORIGINAL}, {', '.join(SWEEP)}."
            )
        replaced = {**replaced, **scores}
    tasks = plan(clips, () if given.sweep is None else given.sweep or tuple(SWEEP))
    answers = ask(tasks, folder / "answers", Options(tuple(given.detectors)), settings, jobs=given.jobs)
    by_form: dict[str, list[Answer]] = {}
    for form, of_form in groupby(zip(tasks, answers, strict=True), key=lambda pair: pair[0].form):
        asked, found = zip(*of_form, strict=True)
        by_form[form] = put_in(replaced, found, [task.clip for task in asked], form, settings)
    by_form.setdefault(REFERENCED, [])
    return gather(clips, by_form, list(references(clips)), replaced)


def _store(evidence: Evidence, folder: Path, made_by: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tables = as_markdown(evidence, made_by)
    for name, text in {
        "evidence.md": tables,
        "evidence.csv": as_csv(evidence),
        "evidence.json": as_json(evidence, made_by),
        "evidence.html": page(evidence),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(tables)
    print(f"Stored in {folder}: evidence.md, .csv, .json and figures in evidence.html")


if __name__ == "__main__":
    raise SystemExit(main())
