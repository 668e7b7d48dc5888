"""The files that commands are given."""

from __future__ import annotations

import sys
from pathlib import Path


def read(file: str) -> bytes:
    """The content of a file; `-` is stdin. Raises OSError."""
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
