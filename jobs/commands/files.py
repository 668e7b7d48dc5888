"""The files that commands are given."""

from __future__ import annotations

import sys
from pathlib import Path

from jobs.errors import PermanentError


class FileMissingError(PermanentError):
    """There is no such file."""


def read(file: str) -> bytes:
    """The content of a file; `-` is stdin. Raises FileMissingError, OSError."""
    if file == "-":
        return sys.stdin.buffer.read()
    must_exist(Path(file))
    return Path(file).read_bytes()


def must_exist(path: Path) -> None:
    """Raises FileMissingError."""
    if not path.exists():
        raise FileMissingError(f"there is no file {path}: is its path right?")
