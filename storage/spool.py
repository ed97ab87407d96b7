"""Files of jobs that wait or run: each job's in a folder of its own, called by their SHA-256, gone when it ends."""

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from core.errors import InputError

SETTLED_S = 600
"""A folder this old belongs to a job that is known, or to nobody."""


class Spool:
    """A folder that survives a restart. Threads and processes may share one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, job_id: str, sha256: str) -> Path:
        """Where a job's file lies: the only place that says so."""
        return self._folder / job_id / sha256

    def keep(self, job_id: str, files: Mapping[str, Path]) -> None:
        """Takes files over from where they were uploaded, by the hash of what they hold.

        Raises:
            InputError: one is gone.
        """
        for sha256, file in files.items():
            place = self.path(job_id, sha256)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.move(file, place)
            except FileNotFoundError as error:
                self.discard(job_id)
                raise InputError("The file was deleted while it was looked at.") from error

    def discard(self, job_id: str) -> None:
        """Deletes all files of a job, if there are any."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def sweep(self, is_needed: Callable[[str], bool]) -> None:
        """Deletes what belongs to no job, such as what a crash has left."""
        before = time.time() - SETTLED_S
        for folder in list(self._folder.iterdir()) if self._folder.is_dir() else ():
            with suppress(FileNotFoundError):  # its job has just ended
                if folder.stat().st_mtime < before and not is_needed(folder.name):
                    shutil.rmtree(folder, ignore_errors=True)
