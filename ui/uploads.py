"""Uploaded files: each in a folder of its own that nobody can guess, and gone when its analysis ends."""

import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import route_utils
from gradio.data_classes import FileData, ListFiles


class _Apart(route_utils.GradioUploadFile):
    """Gradio names the folder of an upload after its content, so two visitors with the same clip would share one file,
    and the end of one analysis would take it from the other. Random bytes in that hash keep them apart."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.sha.update(os.urandom(16))


def keep_uploads_apart() -> None:
    route_utils.GradioUploadFile = _Apart  # type: ignore[misc]


def several_files(**look: Any) -> gr.File:
    """A component for any number of files, as a list of paths.

    `gr.File` by itself leaves an empty temporary file for each one; a subclass would have a .pyi written beside it.
    """
    files = gr.File(file_count="multiple", **look)
    files.preprocess = _paths  # type: ignore[method-assign,assignment]
    return files


def _paths(payload: ListFiles | FileData | None) -> list[str]:
    return [file.path for file in payload.root] if isinstance(payload, ListFiles) else []


def is_upload(path: Path, folder: Path) -> bool:
    """Whether a file is where uploads lie: in a folder of its own inside the one of all uploads."""
    return _lies_apart(path, folder) and path.is_file()


def _lies_apart(path: Path, folder: Path) -> bool:
    return folder.resolve() in path.resolve().parent.parents and not path.is_dir()


def put_apart(name: str, content: bytes, folder: Path) -> Path:
    """Writes a file of ours where uploads lie, in a folder that nobody can guess."""
    path = folder / secrets.token_hex(32) / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def lend(file: Path, name: str, folder: Path) -> Path:
    """The same for a file that is kept elsewhere and stays there."""
    path = folder / secrets.token_hex(32) / name
    path.parent.mkdir(parents=True)
    try:
        os.link(file, path)
    except OSError:  # it lies on another disk
        shutil.copyfile(file, path)
    return path


def discard(paths: Iterable[Path], folder: Path) -> None:
    """Deletes uploads, as far as a job has not taken them over, with the folders made for them; whatever else a request
    has named is left alone."""
    for path in paths:
        if _lies_apart(path, folder):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # another file lies there too, or it was gone before
                path.parent.rmdir()
