"""A file's name in this app is the SHA-256 of its content."""

import hashlib
from pathlib import Path


def hash_of(path: Path) -> str:
    """In hexadecimal; reads the file in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
