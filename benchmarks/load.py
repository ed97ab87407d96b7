"""Many visitors at once, a long day, and a server that is killed: `python -m benchmarks.load`.

The real app in a process of its own, with its defaults but for what is printed, asked by the real client. Every clip is
a file that the server has not seen, so that nothing is answered from the store.
"""

import argparse
import os
import random
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from gradio_client import Client, handle_file
from sqlalchemy import func, select

from benchmarks.clips import make_clip
from core.jobs import JobState
from core.settings import ROOT, Settings
from core.words import say
from storage import AuditLog
from storage.audit import verify
from storage.database import sessions
from storage.tables import JobRow, ReportRow

START_S = 300
CLIP_S, CLIP_PX = 3, 256
EVERY_S = 2.0
"""Between two looks at the memory of the server and all it has started."""
OPTIONS = {"thoroughness": "fast"}
MOMENT_S = 10.0
"""Within so long of its first answer the server is killed."""
REFUSED = "waiting already"
"""By this a polite refusal is told from an error."""


@dataclass
class Tally:
    """What the visitors met; times in s."""

    latencies: list[float] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    refusals: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def answers(self) -> int:
        return len(self.latencies) + len(self.accepted) + self.refusals


@dataclass(frozen=True)
class Size:
    """Of the server's process and all it has started: memory without what is shared twice (PSS), and open files."""

    time_s: float
    memory_mb: float
    files: int
    processes: int


class Clips:
    """Any number of small files that show the same and are not the same."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()
        folder.mkdir()
        self._film = make_clip(folder / "film.mp4", seconds=CLIP_S, width=CLIP_PX, height=CLIP_PX).read_bytes()

    @contextmanager
    def one(self) -> Iterator[dict[str, Any]]:
        """A file as the client takes it, for as long as it is needed."""
        number = next(self._numbers)
        path = self._folder / f"{number}.mp4"
        path.write_bytes(self._film + struct.pack(">I4sQ", 16, b"free", number))  # an empty box: readers pass it over
        try:
            yield handle_file(str(path))
        finally:
            path.unlink()


class Server:
    """`python app.py` on a data folder; `kill` leaves the folder as it then is."""

    def __init__(self, data: Path, **chosen: str) -> None:
        self.data, self._log = data, data.parent / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        own = {"TELLTALE_DATA": str(data), "GRADIO_SERVER_PORT": str(port), "TELLTALE_PER_HOUR": "100000"} | chosen
        self.settings = Settings.from_env(own)
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "app.py"], cwd=ROOT, env=os.environ | own, stdout=log, stderr=log
            )
        self._all = psutil.Process(self._process.pid)

    def wait(self) -> "Server":
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._process.poll() is None:
            try:
                httpx.get(f"{self.url}/gradio_api/app_id", timeout=1)
                return self
            except httpx.TransportError:
                time.sleep(0.2)
        self.kill()
        raise SystemExit(f"The app did not start:\n{self._log.read_text()[-3000:]}")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def call(self, secret: str) -> Client:
        headers = {"x-telltale-visitor": secret.ljust(16, "-")}
        return Client(self.url, headers=headers, verbose=False, analytics_enabled=False)

    def size(self) -> Size:
        memory, files, processes = 0, 0, 0
        for process in (self._all, *self._all.children(recursive=True)):
            try:
                memory += process.memory_full_info().pss
                files += process.num_fds()
                processes += 1
            except psutil.Error:  # it has just ended
                continue
        return Size(time.monotonic(), memory / 1e6, files, processes)


def visits(server: Server, clips: Clips, name: str, ended: threading.Event, tally: Tally) -> None:
    """A person: one analysis after the other, each waited for, until the end."""

    def ask(client: Client) -> None:
        began = time.monotonic()
        with clips.one() as clip:
            client.predict(clip, **OPTIONS, api_name="/analyze")
        tally.latencies.append(time.monotonic() - began)

    _again_and_again(ask, server, name, ended, tally)


def submits(server: Server, clips: Clips, name: str, ended: threading.Event, tally: Tally) -> None:
    """A program: one job after the other, none waited for, until the end."""

    def ask(client: Client) -> None:
        with clips.one() as clip:
            tally.accepted.append(client.predict(clip, **OPTIONS, api_name="/submit")["id"])
        ended.wait(1)

    _again_and_again(ask, server, name, ended, tally)


def _again_and_again(
    ask: Callable[[Client], None], server: Server, name: str, ended: threading.Event, tally: Tally
) -> None:
    client = None
    while not ended.is_set():
        try:
            client = client or server.call(name)
            ask(client)
        except Exception as error:
            if REFUSED in str(error):
                tally.refusals += 1
                ended.wait(5)
            else:
                tally.errors[f"{type(error).__name__}: {str(error)[:120]}"] += 1
                ended.wait(1)


def load(folder: Path, visitors: int, minutes: float) -> None:
    """Prints what so many visitors met within so long, and what it took."""
    server, clips, tally, ended = Server(folder / "data").wait(), Clips(folder / "clips"), Tally(), threading.Event()
    with clips.one() as clip:  # what is loaded once is loaded now
        server.call("first of all").predict(clip, **OPTIONS, api_name="/analyze")
    before, reports = _database_bytes(server.data), _reports(server.settings)
    sizes, began = [server.size()], time.monotonic()
    asks = [
        threading.Thread(target=visits, args=(server, clips, f"visitor {number}", ended, tally))
        for number in range(visitors)
    ]
    for thread in asks:
        thread.start()
    while time.monotonic() - began < 60 * minutes:
        time.sleep(EVERY_S)
        sizes.append(server.size())
    ended.set()
    for thread in asks:
        thread.join(300)
    took_s = time.monotonic() - began
    grown, made = _database_bytes(server.data) - before, _reports(server.settings) - reports
    server.stop()
    print(f"{visitors} visitors for {minutes:g} min, clips of {CLIP_S} s at {CLIP_PX} px, {OPTIONS['thoroughness']}\n")
    print("| | |\n|---|---|")
    print(f"| analyses | {len(tally.latencies)}, {60 * len(tally.latencies) / took_s:.1f} a minute |")
    print(f"| latency | median {_s(tally.latencies, 50)}, p95 {_s(tally.latencies, 95)} |")
    print(f"| refused because too many wait | {tally.refusals} |")
    print(f"| errors | {tally.errors.total()} {dict(tally.errors) or ''} |")
    print(f"| memory of all processes | {_course([size.memory_mb for size in sizes], 'MB')} |")
    print(f"| open files | {_course([size.files for size in sizes], '')} |")
    print(f"| database, per report | {grown / max(1, made) / 1e3:.0f} kB |")


def soak(folder: Path, number: int) -> bool:
    """Analyses so many clips one after the other; whether nothing has grown."""
    server, clips = Server(folder / "data").wait(), Clips(folder / "clips")
    client, sizes, kept, began = server.call("one visitor"), [], [], time.monotonic()
    for _ in range(number):
        with clips.one() as clip:
            client.predict(clip, **OPTIONS, api_name="/analyze")
        sizes.append(server.size())
        kept.append(sum(1 for name in ("uploads", "tmp", "jobs") for _ in (server.data / name).rglob("*")))
    took_s = time.monotonic() - began
    server.stop()
    tenth = max(1, number // 10)
    early, late = ([size.memory_mb for size in part] for part in (sizes[tenth : 2 * tenth], sizes[-tenth:]))
    grown = float(np.median(late) / np.median(early))
    print(f"{number} clips of {CLIP_S} s one after the other, {took_s / number:.1f} s each\n")
    print("| | |\n|---|---|")
    print(f"| memory of all processes | {_course([size.memory_mb for size in sizes], 'MB')} |")
    print(f"| the last tenth over the second | {grown:.2f} |")
    print(f"| open files | {_course([size.files for size in sizes], '')} |")
    print(f"| processes | {_course([size.processes for size in sizes], '')} |")
    print(f"| files of uploads and jobs that stay | {_course(kept, '')} |")
    return grown < 1.1 and max(size.files for size in sizes[-tenth:]) <= max(size.files for size in sizes[: 2 * tenth])


def kill(folder: Path, times: int, visitors: int) -> bool:
    """Kills the server so often under load; whether nothing that was accepted was lost, and the log holds."""
    clips, seed, tally = Clips(folder / "clips"), random.Random(0), Tally()
    chosen = {"TELLTALE_LEASE_SECONDS": "5"}
    troubles: list[str] = []
    for turn in range(times + 1):
        server = Server(folder / "data", **chosen).wait()
        troubles += _examined(server, tally.accepted)
        if turn == times:
            break
        before, ended = tally.answers, threading.Event()
        for number in range(visitors):
            does = submits if number % 2 else visits
            arguments = (server, clips, f"number {number}", ended, tally)
            threading.Thread(target=does, args=arguments, daemon=True).start()
        while tally.answers == before:
            time.sleep(0.1)
        time.sleep(seed.uniform(0, MOMENT_S))
        server.kill()
        ended.set()
        print(f"killed {turn + 1} of {times}: {len(tally.accepted)} jobs accepted", file=sys.stderr, flush=True)
    end = time.monotonic() + 1800
    while (left := _states(server.settings)) and left.keys() & {JobState.QUEUED, JobState.RUNNING}:
        if time.monotonic() > end:
            troubles.append(f"jobs are still unfinished: {dict(left)}")
            break
        time.sleep(1)
    troubles += _examined(server, tally.accepted)
    server.stop()
    print(f"{times} times killed with {visitors} visitors, of whom half submit and half wait\n")
    print("| | |\n|---|---|")
    print(f"| jobs accepted by `/submit` | {len(tally.accepted)} |")
    print(f"| all jobs in the end | {', '.join(f'{n} {state}' for state, n in sorted(left.items()))} |")
    print(f"| reports | {_reports(server.settings)} |")
    print(f"| files of jobs that stay | {sum(1 for _ in server.settings.jobs.rglob('*'))} |")
    print(f"| what was wrong after a restart | {'; '.join(troubles) or 'nothing'} |")
    return not troubles


def _examined(server: Server, accepted: list[str]) -> list[str]:
    """What is wrong after a restart."""
    troubles = []
    with sqlite3.connect(server.data / "telltale.db") as connection:
        sound = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if sound != "ok":
        troubles.append(f"the database says {sound}")
    head, entries = AuditLog(server.settings.database_url).read()
    if flaw := verify(entries, head):
        troubles.append(f"the log has a flaw: {flaw}")
    with sessions(server.settings.database_url)() as session:
        rows = {row.id: row for row in session.scalars(select(JobRow))}
        reports = set(session.scalars(select(ReportRow.id)))
    troubles += [f"job {id} is gone" for id in accepted if id not in rows]
    for row in rows.values():
        if row.state is JobState.DONE and row.report_id not in reports:
            troubles.append(f"job {row.id} is done, and its report is gone")
        if row.state is JobState.FAILED and row.reason != say("jobs.lost"):
            troubles.append(f"job {row.id} failed: {row.reason}")
    answered = [row.report_id for row in rows.values() if row.state is JobState.DONE]
    if len(answered) != len(set(answered)) or len(reports) != len(set(answered)):
        troubles.append(f"{len(answered)} jobs are done, with {len(reports)} reports")
    return troubles


def _states(settings: Settings) -> Counter[JobState]:
    with sessions(settings.database_url)() as session:
        counted = session.execute(select(JobRow.state, func.count()).group_by(JobRow.state))
        return Counter({row[0]: row[1] for row in counted})


def _reports(settings: Settings) -> int:
    with sessions(settings.database_url)() as session:
        return session.scalar(select(func.count()).select_from(ReportRow)) or 0


def _database_bytes(data: Path) -> int:
    with sqlite3.connect(data / "telltale.db") as connection:
        pages, size = (connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    return int(pages * size)


def _s(times: list[float], percentile: int) -> str:
    return f"{np.percentile(times, percentile):.1f} s" if times else "–"


def _course(values: list[float] | list[int], unit: str) -> str:
    """The first, the middle and the last tenth, and the most."""
    tenth = max(1, len(values) // 10)
    middle = len(values) // 2
    parts = values[:tenth], values[middle : middle + tenth], values[-tenth:]
    told = ", ".join(f"{np.median(part):.0f}" for part in parts)
    return f"{told} {unit} at the beginning, in the middle, at the end; at most {max(values):.0f}"


def main() -> int:
    """Prints a table; the exit code is 1 where what was measured is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--soak", type=int, metavar="CLIPS", help="instead, so many clips one after the other")
    parser.add_argument("--kill", type=int, metavar="TIMES", help="instead, kill the server so often under load")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if given.soak:
            return 0 if soak(Path(name), given.soak) else 1
        if given.kill:
            return 0 if kill(Path(name), given.kill, given.visitors) else 1
        load(Path(name), given.visitors, given.minutes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
