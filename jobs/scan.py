"""Whole folders: every video becomes a report in the store, and a row in one table.

The store is all that is remembered. What was analysed with the same settings is answered from it, and so the same
content is analysed once, whatever it is called, and a scan that was cut off goes on when it is started again.
"""

import csv
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pandas as pd
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from analysis.pipeline import Order, take_order
from core.errors import AppError, Cancelled, InputError
from core.settings import Settings
from core.types import Options, Progress, Report
from core.weights import Weights, load_manifest
from detectors import choices, choose
from jobs.worker import Runner, in_force
from storage import ReportStore, open_database, prepare
from storage.media import Media
from storage.reviews import ReviewStore

log = logging.getLogger(__name__)

Row = dict[str, Any]

VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".gif", ".flv"),
    *(".ts", ".mts", ".m2ts"),
)
"""What files are called in the containers that are read; of a folder, only these are looked at."""
COLUMNS = {
    **dict.fromkeys(("path", "sha256", "status", "label"), "string"),
    **dict.fromkeys(("fake", "low", "high", "coverage"), "Float64"),
    "people": "Int64",
    "duration_s": "Float64",
    **dict.fromkeys(("reason", "report"), "string"),
}
"""Before those of the scores, one for each set of weights."""
SCANNER = "folder scan"
"""Who the store and the log say has made these reports; no user can have such a name."""
SHOWN = 50
"""Failed files named at the end; the table has all of them."""
SOME_FAILED, INTERRUPTED = 3, 130
"""Exit codes beside 0; 1 says that nothing could be begun."""


def scan(source: str, out: Path, options: Options, settings: Settings, run: Runner, *, at_once: int = 1) -> int:
    """Analyses what `source` names, as in `listed`, and writes the table; returns the exit code.

    Raises:
        AppError: nothing can be begun: there is no such source, detector or place for the table.
    """
    _check(out)
    paths, manifest = listed(source), load_manifest()
    choose(options.detectors, choices(manifest, settings), options.regions)
    prepare(settings.database_url)
    database = open_database(settings.database_url)
    store = ReportStore(database, Media(settings.media) if settings.media else None)
    settings = in_force(settings, ReviewStore(database, settings) if settings.moderated else None)
    logging.getLogger("analysis").setLevel(logging.WARNING)  # a line or two a file; the bar says the same
    rows: dict[str, Row] = {_name(path): {} for path in paths}
    with logging_redirect_tqdm(), tqdm(total=len(rows), unit="file", dynamic_ncols=True, disable=None) as bar:

        def show(path: Path, progress: Progress) -> None:
            bar.set_postfix_str(f"{path.name}: {progress.stage}")

        work = Scan(run, store, options, settings, manifest, at_once=at_once, on_progress=show)
        try:
            for row in work.rows(dict.fromkeys(paths)):
                rows[row["path"]] = row
                bar.update()
        except KeyboardInterrupt:
            done = sum(map(bool, rows.values()))
            print(f"Stopped after {done} of {len(rows)} files; the same command goes on.", file=sys.stderr)
            return INTERRUPTED
    write_table(rows.values(), out)
    failed = [row for row in rows.values() if row["status"] == "failed"]
    print(f"{out}: {len(rows)} files, {len(failed)} of them failed.")
    for row in failed[:SHOWN]:
        print(f"{row['path']}: {row['reason']}", file=sys.stderr)
    if len(failed) > SHOWN:
        print(f"{len(failed) - SHOWN} more failed; the table names them.", file=sys.stderr)
    return SOME_FAILED if failed else 0


class Scan:
    """Videos become rows, `at_once` side by side, all asked the same."""

    def __init__(
        self,
        run: Runner,
        store: ReportStore,
        options: Options,
        settings: Settings,
        manifest: Mapping[str, Weights],
        *,
        at_once: int = 1,
        on_progress: Callable[[Path, Progress], None] = lambda path, progress: None,
    ) -> None:
        self._run, self._store, self._at_once, self._on_progress = run, store, at_once, on_progress
        self._asked: dict[str, Any] = {"options": options, "settings": settings, "manifest": manifest}
        self._turns: dict[str, Lock] = {}
        self._refused: dict[str, str] = {}
        self._stopped = Event()

    def rows(self, paths: Iterable[Path]) -> Iterator[Row]:
        """A row for each file, as they are done. Closing it stops what runs."""
        running: set[Future[Row]] = set()
        with ThreadPoolExecutor(self._at_once) as pool:
            try:
                for path in paths:
                    running.add(pool.submit(self.row, path))
                    if len(running) >= 2 * self._at_once:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        yield from (row.result() for row in done)
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (row.result() for row in done)
            finally:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)

    def row(self, path: Path) -> Row:
        """What became of one file: the verdict on it, or why there is none."""
        row: Row = {"path": _name(path), "status": "failed"}
        try:
            if not path.is_file():
                raise InputError("There is no file of this name.")
            order = take_order(path, **self._asked)
            row["sha256"] = order.sha256
            with self._turns.setdefault(order.sha256, Lock()):  # who comes second learns what the first one found
                if order.sha256 in self._refused:
                    raise InputError(self._refused[order.sha256])
                return row | told(self._report(path, order))
        except AppError as error:
            reason = str(error)
        except OSError as error:
            reason = f"The file cannot be read: {error.strerror}."
        except Exception as error:
            log.exception("a fault in the analysis of a file")
            reason = f"This file met a fault in Telltale ({type(error).__name__}); the log has more."
        if "sha256" in row:
            self._refused[row["sha256"]] = reason
        return row | {"reason": reason}

    def _report(self, path: Path, order: Order) -> Report:
        """That of the store, at the moderators' desk whoever made it, or else a new one."""
        known = self._store.find(order.fingerprint, owner=None if self._store.media else SCANNER)
        if known:
            return known
        limit = self._asked["settings"].max_minutes
        with closing(self._run(path, name=path.name, order=order, max_minutes=limit, **self._asked)) as steps:
            for step in steps:
                if self._stopped.is_set():
                    break
                if isinstance(step, Report):
                    self._store.add(step, owner=SCANNER, file=path)
                    return step
                self._on_progress(path, step)
        raise Cancelled("The scan was stopped.")


def told(report: Report) -> Row:
    """A report as a row: the verdict, and by each set of weights the highest P(fake) among all people."""
    scores: dict[str, float] = {}
    for finding in report.findings:
        if finding.fake is not None:
            scores[finding.witness] = max(finding.fake, scores.get(finding.witness, 0.0))
    verdict = report.verdict
    low, high = verdict.interval or (None, None)
    return {
        "status": "done",
        "label": verdict.label.value,
        "fake": verdict.fake,
        "low": low,
        "high": high,
        "coverage": verdict.coverage,
        "people": len(report.tracks),
        "duration_s": report.video.duration_s,
        "reason": verdict.reason,
        "report": report.id,
        **scores,
    }


def listed(source: str) -> list[Path]:
    """The videos that are meant: all below a folder, or those named in a list; `-` is a list on standard input.

    A list has one path a line, or is a CSV with a column `path`; paths are relative to the folder it lies in.

    Raises:
        AppError: there is no such folder or list, or it names nothing.
    """
    path = Path(source)
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEOS and file.is_file())
        if not found:
            raise AppError(f"No file below {source} is called like a video ({', '.join(VIDEOS)}).")
        return found
    try:
        text = sys.stdin.read() if source == "-" else path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise AppError(f"{source} is neither a folder nor a list that can be read: {error}.") from error
    if path.suffix.lower() == ".csv":
        table = csv.DictReader(text.splitlines())
        if "path" not in (table.fieldnames or ()):
            raise AppError(f"The list {source} has no column `path`, only {', '.join(table.fieldnames or ['none'])}.")
        names = [row["path"] for row in table]
    else:
        names = text.splitlines()
    base = Path() if source == "-" else path.parent
    found = [base / name.strip() for name in names if name and name.strip()]
    if not found:
        raise AppError(f"The list {source} names no file.")
    return found


def _check(out: Path) -> None:
    """Before anything is analysed.

    Raises:
        AppError: the table could not be written in the end.
    """
    if out.suffix not in (".parquet", ".csv", ".jsonl"):
        raise AppError(f"{out.name} must end in .parquet, .csv or .jsonl: the ending says how the table is written.")
    if not out.parent.is_dir():
        raise AppError(f"There is no folder {out.parent} to write the table to.")
    if out.suffix == ".parquet" and not find_spec("pyarrow"):
        raise AppError(
            "A .parquet needs pyarrow: `pip install -r requirements-cluster.txt`, or ask for .csv or .jsonl."
        )


def write_table(rows: Iterable[Row], out: Path) -> None:
    """Whole or not at all, in the format that the ending names."""
    table = pd.DataFrame(rows)
    scores = sorted(set(table.columns) - set(COLUMNS))
    table = table.reindex(columns=[*COLUMNS, *scores]).astype(COLUMNS | dict.fromkeys(scores, "Float64"))
    partial = out.with_name(f".{out.name}.partial")
    match out.suffix:
        case ".parquet":
            table.to_parquet(partial, engine="pyarrow", index=False)
        case ".csv":
            table.to_csv(partial, index=False)
        case ".jsonl":
            table.to_json(partial, orient="records", lines=True, force_ascii=False)
    os.replace(partial, out)


def _name(path: Path) -> str:
    """A name may hold bytes that no text can."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
