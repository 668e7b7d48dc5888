"""The local host's id, by which it names its blobs and locks in the storage account (functions-host.md §1.7)."""

from __future__ import annotations

import platform
from pathlib import Path

HOST_ID_SETTING = "AzureFunctionsWebHost__hostid"
"""The setting that names another id."""
_LONGEST = 32


def local_host_id(script_root: Path, machine: str | None = None) -> str:
    """Machine name and a hash of the app's path, as the real host computes it for a local run."""
    name = "".join(c for c in (machine if machine is not None else platform.node()) if c.isascii() and c.isalnum())
    value = 23
    for character in str(script_root):
        value = _wrap(value * 31 + ord(character))
    return f"{name}-{abs(value)}".lower()[:_LONGEST].rstrip("-")


def _wrap(value: int) -> int:
    """As a signed 32-bit number."""
    return (value + 2**31) % 2**32 - 2**31
