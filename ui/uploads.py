"""Uploaded files: each in a folder of its own that nobody can guess, and gone when its analysis ends."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gradio import route_utils


class _Apart(route_utils.GradioUploadFile):
    """Gradio names the folder of an upload after its content, so two visitors with the same clip would share one file,
    and the end of one analysis would take it from the other. Random bytes in that hash keep them apart."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.sha.update(os.urandom(16))


def keep_uploads_apart() -> None:
    route_utils.GradioUploadFile = _Apart  # type: ignore[misc]


def discard(uploads: Iterable[Path]) -> None:
    """Deletes files, and the folders made for them. One that is gone already, or was never a file, is no fault."""
    for path in uploads:
        # Never a whole folder: its name came from outside, and may be that of the folder of all uploads.
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()
