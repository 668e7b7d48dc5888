"""What the contestants need to know of processes: when this one was started, how much memory one holds, a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import IO

import psutil

_SPAWNED_AT = "BENCH_SPAWNED_AT"
_imported_at = time.time()


def run_alone(command: Sequence[str], errors: IO[bytes], seconds: float) -> tuple[int, bytes]:
    """Run a command that may ask `spawned_at()`: its exit code and standard output. Raises subprocess.TimeoutExpired.

    It leads a process group of its own, and nothing of that is left when this returns or raises.
    """
    environment = {**os.environ, _SPAWNED_AT: repr(time.time())}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, start_new_session=True)
    try:
        output, _ = child.communicate(timeout=seconds)
        return child.returncode, output
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


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
