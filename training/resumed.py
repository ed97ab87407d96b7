"""Work of hours that a kill must not undo: each answer is one file that appears when it is complete."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from core.kept import write_json
from core.settings import ROOT

T = TypeVar("T")

ROOMS = ("core", "preprocessing", "detectors", "analysis")
"""Whose code decides what an analysis says: between two releases the version stays and the scores may move."""


PASSING = "passing"
"""An answer in which this is true may be another one next time, so it is not kept."""


def answers(
    work: Callable[[T], dict[str, Any]], tasks: Sequence[tuple[T, Path]], *, jobs: int = 1
) -> list[dict[str, Any]]:
    """What `work` says of every task: from the task's file where it is there, else it is put there, as JSON.

    With several `jobs`, in processes of their own.
    """
    missing = [(task, file) for task, file in tasks if not file.exists()]
    progress = {"total": len(missing), "unit": "clip", "desc": f"{len(tasks) - len(missing)} of {len(tasks)} cached"}
    if jobs == 1:
        new = [_answer(work, job) for job in tqdm(missing, **progress)]
    elif missing:
        # Not forked: the networks' threads would not survive that.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            new = list(tqdm(pool.map(partial(_answer, work), missing), **progress))
    else:
        new = []
    found = dict(zip((file for _, file in missing), new, strict=True))
    return [found[file] if file in found else json.loads(file.read_text(encoding="utf-8")) for _, file in tasks]


def _answer(work: Callable[[T], dict[str, Any]], job: tuple[T, Path]) -> dict[str, Any]:
    task, file = job
    found = work(task)
    if not found.get(PASSING):
        write_json(file, found)
    return found


@cache
def code() -> str:
    """SHA-256 over the code of the rooms as it is when first asked: that of this process, whatever is edited later."""
    files = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
