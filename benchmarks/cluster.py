"""How the work spreads over workers, on nodes of one core each: `python -m benchmarks.cluster`.

The nodes are processes on this machine, each tied to a core of its own, so there can be as many as there are cores.
They share its memory and its disk, which machines of their own would not.
"""

import argparse
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil
from sqlalchemy import text
from tqdm import tqdm

from analysis.pipeline import analyze
from benchmarks.clips import make_clip
from core.settings import Settings
from core.types import Options, Report
from core.weights import load_manifest
from jobs.scan import Scan
from storage import ReportStore, open_database, upgrade

OPTIONS = Options((), thoroughness="standard")
RUNS = 3
SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}
MEMORY = 200 * 2**20
"""Of a node for what tasks hand each other."""


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    cores = sorted(os.sched_getaffinity(0))
    parser.add_argument(
        "--workers",
        type=int,
        default=len(cores),
        help="from one to so many, as many as cores at most; 0: only what this process does by itself",
    )
    parser.add_argument("--files", type=int, default=8, help="for each number of workers, in each of three runs")
    parser.add_argument("--seconds", type=int, default=10, help="length of a clip")
    parser.add_argument("--reports", type=int, default=300, help="to write into the database")
    parser.add_argument("--database", help="an empty one to write them to; SQLite if none is given")
    given = parser.parse_args()
    if given.workers > len(cores):
        parser.error(f"there are {len(cores)} cores, and {given.workers} workers would need one each")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_clip(folder / "clip.mp4", seconds=given.seconds, width=1280, height=720)
        if given.workers:
            with _nodes(folder, cores[: given.workers]) as settings:
                report = _throughput(folder, clip, given.files, given.workers, settings)
        else:
            settings = Settings.from_env({"TELLTALE_DATA": name})
            report = analyze(clip, name="", options=OPTIONS, settings=settings, manifest=load_manifest())
        print(f"\na clip of {given.seconds} s, 1280 x 720, has {clip.stat().st_size / 1e6:.1f} MB")
        for stage in ("faces", "scores", "explanations", "total"):
            print(f"{stage:14}{report.timings_s[stage]:7.2f} s")
        _writing(report, given.reports, given.database or f"sqlite:///{folder / 'written.db'}")


@contextmanager
def _nodes(folder: Path, cores: list[int]) -> Iterator[Settings]:
    """A cluster with a node on each of these cores; what drives it may use all."""
    sockets = tempfile.mkdtemp(prefix="ray-")  # whose paths must be short
    os.environ |= {"RAY_TMPDIR": sockets, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    all_cores = os.sched_getaffinity(0)
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": MEMORY})
    try:
        for core in cores:
            os.sched_setaffinity(0, {core})  # a process takes after the one that starts it
            known = {"TELLTALE_DATA": str(folder / f"node {core}")}
            nodes.add_node(num_cpus=1, object_store_memory=MEMORY, env_vars=known)
        os.sched_setaffinity(0, all_cores)
        known = {"TELLTALE_DATA": str(folder / "driver"), "TELLTALE_RAY_ADDRESS": nodes.address}
        yield Settings.from_env(known | {"TELLTALE_STORE": str(folder / "exchange")})
    finally:
        nodes.shutdown()
        shutil.rmtree(sockets, ignore_errors=True)


def _throughput(folder: Path, clip: Path, files: int, most: int, settings: Settings) -> Report:
    """Prints a row for each number of workers; returns a report made when one was at work."""
    from jobs.cluster import Cluster

    cluster = Cluster(settings)
    upgrade(settings.database_url)
    store = ReportStore(settings.database_url)
    rates: dict[int, list[float]] = {workers: [] for workers in range(1, most + 1)}
    spent: dict[int, list[float]] = {workers: [] for workers in rates}
    alone = ""

    def run(count: int, workers: int) -> list[str]:
        films = [_another(clip, folder / f"{uuid.uuid4().hex}.mp4") for _ in range(count)]
        scan = Scan(cluster.run, store, OPTIONS, settings, load_manifest(), at_once=workers)
        return [row["report"] for row in scan.rows(films)]

    run(2 * most, most)  # starts the processes of every node
    for _ in tqdm(range(RUNS), disable=None):
        for workers in rates:
            began, used = time.perf_counter(), _processor_s()
            made = run(files, workers)
            rates[workers].append(files / (time.perf_counter() - began))
            spent[workers].append((_processor_s() - used) / files)
            alone = made[-1] if workers == 1 else alone
    report = store.get(alone, owner=None)
    cluster.close()
    print(f"{files} files a run, median of {RUNS} runs (least to most)\n")
    print("workers   files a second            efficiency   processor time a file")
    one = median(rates[1])
    for workers, found in rates.items():
        spread = f"{median(found):.3f} ({min(found):.3f} to {max(found):.3f})"
        print(f"{workers:7}   {spread:25} {median(found) / one / workers:10.2f}   {median(spent[workers]):19.2f} s")
    return report


def _another(clip: Path, target: Path) -> Path:
    """The same film in a file that is not the same: players pass over a box that is called free."""
    target.write_bytes(clip.read_bytes() + b"\x00\x00\x00\x18free" + uuid.uuid4().bytes)
    return target


def _processor_s() -> float:
    """Of all processes that this one has started, and of those that these have seen end."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _writing(report: Report, count: int, database: str) -> None:
    upgrade(database)
    engine = open_database(database)
    store, kind = ReportStore(engine), engine.dialect.name
    made = [replace(report, id=uuid.uuid4().hex) for _ in range(count)]
    with engine.connect() as connection:
        before = connection.scalar(text(SIZE[kind]))
        began = time.perf_counter()
        for one in made:
            store.add(one, owner="benchmark")
        seconds = time.perf_counter() - began
        grown = connection.scalar(text(SIZE[kind])) - before
    print(
        f"\nwritten to {kind} by one process: {count / seconds:.0f} reports a second, {grown / count / 1e3:.0f} KB each"
    )


if __name__ == "__main__":
    main()
