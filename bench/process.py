"""What the contestants need to know of processes: when this one was started, how much memory one holds, a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import IO

import psutil

_SPAWNED_AT = "BENCH_SPAWNED_AT"
_imported_at = time.time()


def spawn_and_wait(command: Sequence[str], errors: IO[bytes], seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run a command that may ask `spawned_at()`; standard output is captured. Raises subprocess.TimeoutExpired."""
    environment = {**os.environ, _SPAWNED_AT: repr(time.time())}
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, timeout=seconds, env=environment)


def spawned_at() -> float:
    """The `time.time()` at which the parent started this process.

    Told by the parent, because the kernel's figure is known only to the second on some systems; without a parent that
    tells, the moment of this module's import.
    """
    return float(os.environ.get(_SPAWNED_AT, _imported_at))


def memory_bytes(process_id: int | None = None) -> int:
    """Resident set size of a process, by default this one."""
    return psutil.Process(process_id).memory_info().rss


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
