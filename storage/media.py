"""Uploaded files that are kept for moderators, each once, called by the SHA-256 of what it holds.

No name that came with a file is ever a path, and whatever is asked for by something else than such a hash is not there.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from core.errors import InputError

SHA256 = re.compile(r"[0-9a-f]{64}")
SETTLED_S = 86_400
"""A file this old belongs to a report or to nobody: no analysis takes as long."""


class Media:
    """A folder of kept files. Threads and processes may share one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, file: Path, sha256: str) -> None:
        """Keeps a file that hashes to this: at once where it lies on the same disk, copied from another one.

        Raises:
            InputError: it is gone.
        """
        kept = self._folder / _checked(sha256)
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, kept)
        except FileNotFoundError as error:
            raise InputError("The file was deleted while it was looked at.") from error
        except FileExistsError:
            os.utime(kept)
        except OSError:
            partial = kept.with_suffix(".partial")
            shutil.copyfile(file, partial)
            os.replace(partial, kept)

    def path(self, sha256: str) -> Path | None:
        """Where the file lies; None where it is not kept, or no longer."""
        kept = self._folder / sha256
        return kept if SHA256.fullmatch(sha256) and kept.is_file() else None

    def discard(self, sha256: str) -> None:
        """Deletes the file, if it is there."""
        (self._folder / _checked(sha256)).unlink(missing_ok=True)

    def sweep(self, is_used: Callable[[str], bool]) -> None:
        """Deletes what belongs to no report, such as what a crash has left; new files may be about to be one's."""
        before = time.time() - SETTLED_S
        for file in list(self._folder.iterdir()) if self._folder.is_dir() else ():
            if file.stat().st_mtime < before and not is_used(file.name):
                file.unlink(missing_ok=True)


def _checked(sha256: str) -> str:
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"`sha256` must be 64 hex digits, got {sha256!r}")
    return sha256
