"""From a downloaded data set to a cache: every video is read once, as the app reads it, and what methods need is kept.

    python -m training.prepare faceforensics ROOT --out CACHE --kinds landmarks xception --only '*/c23/*'
    python -m training.prepare faces PHOTOGRAPHS --out CACHE --kinds canvas

What each layout is to look like is told in `training/layouts`, what is in a cache in `training/prepared.py`. A run that
was stopped or killed goes on where it was when the command is given again, and kinds asked for later are added. What is
missing or failed is in CACHE/failed.csv with the reason; `--again` tries what failed once more.
"""

import argparse
import fcntl
import logging
import math
import os
import shutil
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from core.errors import AppError, InputError
from core.settings import VERSION, Settings
from core.types import Track
from core.weights import load_manifest
from preprocessing.cropping import Look
from preprocessing.reading import read_tracks
from training import landmark_files
from training.clips import PARTIAL, READ, UNLIMITED, most_in_view
from training.journal import NOTHING, Entry, Journal
from training.layouts import LAYOUTS, read
from training.layouts.sample import Sample
from training.photographs import is_photograph, read_photograph
from training.prepared import (
    FRAMES,
    KINDS,
    LANDMARKS,
    RULES,
    RUNS,
    SEQUENCES,
    Made,
    look_of,
    read_about,
    write_about,
    write_index,
    write_rows,
    write_track,
)

log = logging.getLogger(__name__)

USUAL = (LANDMARKS, "canvas", "mouth", "xception")
LENGTH_FRAMES = 300
"""Of a video, to guess beforehand how large sequences will be."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of every sample."""

    cache: Path
    kinds: tuple[str, ...]
    frames: int
    landmarks: str
    settings: Settings


def make(sample: Sample, order: Order) -> Entry:
    """Reads one sample and writes what is made of it."""
    kinds = tuple(kind for kind in order.kinds if _is_possible(kind, sample.path))
    try:
        track, shown = _read(sample, [look_of(k, order.frames) for k in kinds if k in RULES], order)
    except InputError as error:
        return Entry(frozenset(order.kinds), NOTHING, str(error))
    made = write_track(order.cache, sample.id, track, kinds, order.frames)
    absent = [kind for kind in kinds if kind not in made]
    rate_hz = track.quality.frame_rate_hz
    face_px = float(np.median(np.ptp(track.landmarks[:, :, 0], axis=1)))
    return Entry(
        frozenset(order.kinds),
        Made(made, round(float(track.seen.sum()) / shown, 4), len(track.time_s), round(rate_hz, 3), round(face_px, 1)),
        f"The face could not be cut out for {', '.join(absent)}." if absent else "",
    )


def _read(sample: Sample, looks: Sequence[Look], order: Order) -> tuple[Track, int]:
    """The person most in view, and the number of frames in which they could have been."""
    if is_photograph(sample.path):
        return read_photograph(sample.path, looks, order.landmarks, order.settings), 1
    if _is_text(sample.path):
        track = landmark_files.as_track(landmark_files.read_lrnet(sample.path))
        return track, len(track.time_s)
    options = replace(READ, landmarks=order.landmarks)
    reading = read_tracks(
        sample.path, name="", sha256="", options=options, settings=order.settings, manifest=load_manifest(), looks=looks
    )
    if not reading.tracks:
        raise InputError("No face was found.")
    return most_in_view(reading.tracks), reading.video.frames_decoded


def _is_possible(kind: str, path: Path) -> bool:
    """A photograph has no sequences, a file of landmarks no pictures."""
    return kind == LANDMARKS or not (_is_text(path) or (kind in SEQUENCES and is_photograph(path)))


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt"


def lacking(samples: Sequence[Sample], order: Order, journal: Journal, *, again: bool) -> list[Sample]:
    """Those that were not read yet for all kinds that are wanted; with `again` also those of which something failed."""
    known, wanted = journal.entries, frozenset(order.kinds)
    return [
        s for s in samples if s.id not in known or not wanted <= known[s.id].asked or (again and known[s.id].reason)
    ]


def fill(samples: Sequence[Sample], order: Order, journal: Journal, workers: int) -> int:
    """Makes what is wanted of these samples, and gives the number of those in which something unforeseen went wrong.

    Where a process dies, those that were being read are read once more, each alone; only one that dies again failed.
    """
    todo, unforeseen = deque(samples), 0
    with tqdm(total=len(samples), unit="sample", smoothing=0.02) as bar:

        def note(sample: Sample, entry: Entry | BaseException) -> None:
            nonlocal unforeseen
            if isinstance(entry, BaseException):
                unforeseen += 1
                log.error("%s", sample.id, exc_info=entry)
                entry = Entry(frozenset(order.kinds), NOTHING, f"Unforeseen: {entry!r}")
            journal.add(sample.id, entry)
            bar.update()

        while todo:
            for sample in _read_all(todo, order, workers, note):
                with _pool(min(workers, 1)) as pool:
                    try:
                        note(sample, _result(pool.submit(make, sample, order)))
                    except BrokenProcessPool:
                        died = "The process that read it died, often for want of memory."
                        note(sample, Entry(frozenset(order.kinds), NOTHING, died))
    return unforeseen


def _read_all(
    todo: deque[Sample], order: Order, workers: int, note: Callable[[Sample, Entry | BaseException], None]
) -> list[Sample]:
    """Takes from `todo` until nothing is left or a process dies; gives those that were being read then."""
    running: dict[Future[Entry], Sample] = {}
    with _pool(workers) as pool, suppress(BrokenProcessPool):
        while todo or running:
            while todo and len(running) < 2 * max(1, workers):
                running[pool.submit(make, todo[0], order)] = todo[0]
                todo.popleft()
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                note(running[done], _result(done))
                del running[done]
    return list(running.values())


def _result(done: Future[Entry]) -> Entry | BaseException:
    """One file among thousands must not end the night's work, so what nobody foresaw is given back, not raised."""
    error = done.exception()
    if isinstance(error, BrokenProcessPool):
        raise error
    return error or done.result()


@contextmanager
def _pool(workers: int) -> Iterator[Executor]:
    pool = (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
        if workers
        else ThreadPoolExecutor(1)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In a worker: one thread for OpenCV, since there are more workers; an interrupt from the keyboard is the command's
    to answer; and no life without the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.devnull, "w") as nothing:  # MediaPipe writes several lines a file, whatever it is told
        os.dup2(nothing.fileno(), sys.stderr.fileno())
    cv2.setNumThreads(1)
    logging.getLogger().setLevel(logging.ERROR)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """
    Raises:
        InputError: another run is filling this cache.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"Another run is filling {cache}; wait for it, or name another folder.") from error
        for left in cache.rglob(f"*{PARTIAL}"):
            left.unlink()
        yield


def _agree(cache: Path, **about: object) -> None:
    """
    Raises:
        InputError: the cache was begun otherwise.
    """
    before = read_about(cache)
    for name, value in about.items():
        if before is not None and before.get(name) != value:
            raise InputError(
                f"{cache} was begun with {name} {before.get(name)!r}, not {value!r}; name another folder for --out."
            )
    if before is None:
        write_about(cache, {**about, "made_by": VERSION})


def _frames_of(kind: str, order: Order) -> int:
    """How many crops a video brings, about."""
    if kind in RUNS:
        return math.prod(RUNS[kind])
    return LENGTH_FRAMES if kind in SEQUENCES else order.frames


def _refuse_without_room(order: Order, samples: Sequence[Sample]) -> None:
    """Tells how much there is to do.

    Raises:
        InputError: the disk is too small for the crops.
    """
    bytes_each = sum(
        3 * rule.size_px**2 * rule.views * _frames_of(kind, order)
        for kind, rule in RULES.items()
        if kind in order.kinds
    )
    videos = sum(not is_photograph(s.path) for s in samples)
    needed = videos * bytes_each + (len(samples) - videos) * bytes_each / order.frames
    free = shutil.disk_usage(order.cache).free
    log.info("%d to read; crops take about %.1f GB, %.1f GB are free", len(samples), needed / 1e9, free / 1e9)
    if needed > free:
        raise InputError("That is more than there is room for; ask for fewer kinds or --frames-per-video.")


def _report(cache: Path, samples: Sequence[Sample], missing: Sequence[Sample], journal: Journal) -> str:
    """Writes index.csv and failed.csv from what is known now; gives the line that sums it up."""
    entries = [journal.entries.get(sample.id) for sample in samples]
    write_index(cache, [(sample, e.made if e else NOTHING) for sample, e in zip(samples, entries, strict=True)])
    failed = [(sample, e.reason) for sample, e in zip(samples, entries, strict=True) if e and e.reason]
    write_rows(
        cache / "failed.csv",
        ("id", "path", "reason"),
        [
            {"id": sample.id, "path": sample.path, "reason": reason}
            for sample, reason in [*((sample, "There is no such file.") for sample in missing), *failed]
        ],
    )
    done = [sample for sample, e in zip(samples, entries, strict=True) if e and not e.reason]
    splits = Counter(sample.split for sample in done)
    return (
        f"{len(samples)} found, {len(missing)} missing, {len(failed)} failed, {len(done)} done: "
        f"{sum(not s.label for s in done)} genuine and {sum(s.label for s in done)} manipulated; "
        + ", ".join(f"{split} {splits[split]}" for split in ("train", "val", "test"))
    )


def _workers(asked: int | None) -> int:
    if asked is not None:
        return asked
    from detectors.engines import cpus  # brings PyTorch, which workers need not wait for

    return max(1, cpus() // 2)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 1 where something unforeseen went wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m training.prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("layout", choices=tuple(LAYOUTS))
    parser.add_argument("root", type=Path, help="folder of the data set, or the list")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cache")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=USUAL, help=f"(default: {' '.join(USUAL)})")
    parser.add_argument("--only", default="*", help="pattern of the samples' ids, such as '*/c23/*'")
    parser.add_argument("--frames-per-video", type=int, default=FRAMES, help="for crops (default: %(default)s)")
    parser.add_argument("--landmarks", choices=("facemesh", "fan"), default="facemesh")
    parser.add_argument(
        "--workers", type=int, help="processes; 0: in this one (default: half as many as there are processors)"
    )
    parser.add_argument("--again", action="store_true", help="try what failed once more")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = Settings.from_env(os.environ).model_copy(update=UNLIMITED)
    found, missing = read(given.layout, given.root.absolute())
    chosen, absent = ([s for s in part if fnmatch(s.id, given.only)] for part in (found, missing))
    if not chosen:
        raise InputError(f"Nothing of {given.root} is there under {given.only!r}; {len(absent)} files are missing.")
    order = Order(given.out, tuple(given.kinds), given.frames_per_video, given.landmarks, settings)
    with _alone(order.cache), closing(Journal(order.cache / "log.csv")) as journal:
        _agree(order.cache, layout=given.layout, frames_per_video=order.frames, landmarks=order.landmarks)
        todo = lacking(chosen, order, journal, again=given.again)
        _refuse_without_room(order, todo)
        try:
            unforeseen = fill(todo, order, journal, _workers(given.workers))
        finally:
            # What an earlier command read stays, also where the videos have been put away since.
            read_before = [s for s in (*found, *missing) if s.id in journal.entries]
            listed = {s.id: s for s in (*read_before, *chosen)}
            absent = [s for s in absent if s.id not in listed]
            log.info("%s", _report(order.cache, list(listed.values()), absent, journal))
    return int(unforeseen > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AppError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped. What is done stays; give the same command again to go on.")
