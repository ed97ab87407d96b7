"""Small files in the data folder."""

import json
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all: somebody may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as partial:
        partial.write(json.dumps(content, indent=2) + "\n")
    os.replace(partial.name, path)


def read_key(path: Path) -> bytes:
    """The key that is kept there, of 32 random bytes; made at the first call, for this user's eyes only."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent) as whole:
        whole.write(secrets.token_bytes(32))
        whole.flush()
        with suppress(FileExistsError):  # another process was quicker
            os.link(whole.name, path)
    return path.read_bytes()
