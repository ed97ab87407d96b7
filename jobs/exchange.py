"""Files on their way to other machines, each by the SHA-256 of what it holds: a shared folder or an object store."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fsspec.core import url_to_fs

from core.errors import AppError
from core.files import hash_of

SETTLED = timedelta(days=1)
"""A file this old is waited for by nobody: no analysis takes as long."""


class Mislaid(AppError):
    """A file is not where it was put, or not whole: it was taken away, is still being written, or never was there."""


class Exchange:
    """A place that every machine reaches, by a path or any address that fsspec knows."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._fs, self._root = url_to_fs(address)

    def put(self, file: Path, sha256: str) -> None:
        """Copies a file that hashes to this to the place, unless it is there."""
        place = f"{self._root}/{sha256}"
        with suppress(FileNotFoundError):
            if self._fs.size(place) == file.stat().st_size:
                return
        self._fs.makedirs(self._root, exist_ok=True)
        self._fs.put_file(str(file), place)

    def get(self, sha256: str, target: Path) -> Path:
        """Copies it from the place.

        Raises:
            Mislaid: it is not there, or not whole.
        """
        try:
            self._fs.get_file(f"{self._root}/{sha256}", str(target))
            found: str | None = hash_of(target)
        except FileNotFoundError:
            found = None
        if found != sha256:
            raise Mislaid(
                f"The file {sha256[:12]}… did not arrive at {self._address}, as a machine of the cluster sees it; "
                "TELLTALE_STORE must name a folder or an address that every machine reaches."
            )
        return target

    def discard(self, sha256: str) -> None:
        """Deletes it, if it is there."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{sha256}")

    def sweep(self) -> None:
        """Deletes what was left behind by a driver that was killed."""
        with suppress(FileNotFoundError):
            for place in self._fs.find(self._root):
                if self._fs.modified(place) < datetime.now(UTC) - SETTLED:
                    self._fs.rm_file(place)
