"""Start: settings, folders, logging, store, page; with `work`, a worker without a page; with `selftest`, whether the
detectors score as they did."""

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from core.errors import AppError
from core.logs import configure as configure_log
from core.settings import Settings
from core.surroundings import WRITABLE, settle
from core.types import Options, Thoroughness

if TYPE_CHECKING:
    from gradio import Blocks

    from jobs.worker import Runner, Worker
    from storage.gauges import Gauges
    from storage.sender import Sender
    from ui.visit import Desk

log = logging.getLogger("telltale")


def prepare(settings: Settings) -> None:
    """Nothing is written outside the data folder, and nothing is sent anywhere.

    Libraries read these variables once, so this comes before they are imported.
    """
    for folder in _passing(settings):
        folder.mkdir(parents=True, exist_ok=True)
    settle(settings)
    configure_log(settings)


def clear(settings: Settings) -> None:
    """Nothing is left of the last run. Only for who is about to serve: a page that is running needs these files."""
    for folder in _passing(settings):
        shutil.rmtree(folder, ignore_errors=True)


def open_desk(settings: Settings) -> tuple["Desk", "Worker"]:
    """Where visitors are served, on top of an up-to-date store, and who does its work once started."""
    on_gpu = None
    if os.environ.get("SPACES_ZERO_GPU"):
        import spaces  # before anything that imports torch

        on_gpu = spaces.GPU  # type: ignore[attr-defined]
    run, settings = _runner(settings, on_gpu)
    from analysis.pipeline import take_order
    from core.weights import load_manifest
    from storage import AuditLog, JobStore, ReportStore, open_database
    from storage import prepare as prepare_database
    from storage.gauges import Gauges
    from storage.health import check
    from storage.media import Media
    from storage.reviews import ReviewStore
    from storage.similar import Similar
    from storage.users import UserStore
    from ui.visit import Desk

    prepare_database(settings.database_url)
    database = open_database(settings.database_url)
    store = ReportStore(database, Media(settings.media) if settings.media else None)
    users = UserStore(database, session_hours=settings.session_hours) if settings.moderated else None
    queue = ReviewStore(database, settings) if settings.moderated else None
    similar = Similar(database) if settings.moderated else None
    manifest, jobs, log = load_manifest(), JobStore(database, settings), AuditLog(database)
    health = partial(check, database, settings, manifest)
    desk = Desk(settings, manifest, store, jobs, take_order, users, queue, similar, log, health)
    if settings.metrics:
        tell_numbers(settings.metrics, Gauges(database, settings.data, health))
    return desk, desk.worker(run)


def _runner(settings: Settings, on_gpu: Any = None) -> tuple["Runner", Settings]:
    """Who runs analyses: this machine or, where there is one, the cluster; and the settings, with as many at once as
    it can take if nobody said how many."""
    if settings.ray_address:
        if not find_spec("ray"):
            raise AppError("TELLTALE_RAY_ADDRESS needs Ray: `pip install -r requirements-cluster.txt`.")
        from jobs.cluster import Cluster

        cluster = Cluster(settings)
        said = "at_once" in settings.model_fields_set
        return cluster.run, settings if said else settings.model_copy(update={"at_once": cluster.at_once})
    from analysis.pipeline import analyze
    from jobs.worker import follow

    return partial(on_gpu(follow) if on_gpu else follow, analyze), settings


def page(settings: Settings) -> tuple["Blocks", dict[str, Any], "Worker"]:
    """The page, the arguments to launch it with, and who does its work once started."""
    desk, worker = open_desk(settings)
    from ui import build, launch_options

    return build(desk), launch_options(desk), worker


def tell_numbers(where: str, gauges: "Gauges") -> None:
    """`/metrics` at an address of its own, so that nothing at the page's address has to keep strangers from it."""
    from prometheus_client import REGISTRY, start_http_server

    REGISTRY.register(gauges)
    address, port = where.split(":")
    start_http_server(int(port), address)
    log.info("Numbers for Prometheus are at http://%s/metrics", where)


def serve(settings: Settings) -> None:
    """Runs the page until the process is told to end."""
    blocks, options, worker = page(settings)
    from storage.retention import keep_deleting

    ended = _told_to_end()
    for store in (worker.store, worker.jobs):
        arguments = (store, settings.retention, ended)
        threading.Thread(target=keep_deleting, args=arguments, name="retention", daemon=True).start()
    sender = _sender(settings) if settings.moderated else None
    _, address, _ = blocks.launch(**options, quiet=True, prevent_thread_lock=True)
    log.info("Telltale is at %s", address)
    worker.start()
    ended.wait()
    worker.stop()
    blocks.close(verbose=False)
    if sender:
        sender.stop()
    shutil.rmtree(settings.uploads, ignore_errors=True)


def work(settings: Settings) -> None:
    """Only works on jobs, of whatever pages share the database and the data folder, until the process is told to
    end."""
    _, worker = open_desk(settings.model_copy(update={"at_once": max(1, settings.at_once)}))
    ended = _told_to_end()
    worker.start()
    log.info("At work")
    ended.wait()
    worker.stop()


def _told_to_end() -> threading.Event:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _sender(settings: Settings) -> "Sender":
    from storage.sender import Sender
    from storage.webhooks import Webhooks

    sender = Sender(Webhooks(settings.database_url), private=settings.webhooks_private)
    sender.start()
    return sender


def selftest(settings: Settings) -> int:
    """One line a check; returns the exit code."""
    from analysis.selftest import selftest
    from core.weights import load_manifest

    run = selftest(load_manifest(), settings)
    for check in run.checks:
        print(f"{'green' if check.ok else 'red':6}{check.name:34} {check.reason}")
    return 0 if run.ok else 1


def scan(source: str, out: Path, options: Options, settings: Settings) -> int:
    """A row for each file; returns the exit code."""
    run, settings = _runner(settings)
    from jobs.scan import scan

    return scan(source, out, options, settings, run, at_once=max(1, settings.at_once))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python app.py", description="Serves the page, unless told otherwise.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("selftest", help="score a stored input and compare")
    commands.add_parser("work", help="only work on the jobs of pages that share the database and the data folder")
    many = commands.add_parser("scan", help="analyse whole folders; one row a file in a table")
    many.add_argument("source", help="a folder, or a list: one path a line, a CSV with a column `path`, or - for stdin")
    many.add_argument("--out", type=Path, required=True, help="the table to write: .parquet, .csv or .jsonl")
    many.add_argument("--detectors", nargs="+", default=(), help="names or sets of weights; all that are ready")
    many.add_argument("--regions", nargs="+", default=(), help="of the face; all")
    many.add_argument("--thoroughness", choices=get_args(Thoroughness), default="standard")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ)
        if given.command == "selftest":
            prepare(settings)
            return selftest(settings)
        if given.command == "work":
            prepare(settings)
            work(settings)
            return 0
        if given.command == "scan":
            prepare(settings)
            options = Options(tuple(given.detectors), tuple(given.regions), given.thoroughness)
            return scan(given.source, given.out, options, settings)
        clear(settings)
        prepare(settings)
        serve(settings)
    except (AppError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _passing(settings: Settings) -> tuple[Path, Path]:
    return settings.uploads, settings.data / WRITABLE["TMPDIR"]


if __name__ == "__main__":
    raise SystemExit(main())
