"""A host as a person starts it: `python -m devhost start` in its own process, killed and restarted by real signals."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import httpx

from demo.processes import ROOT, Process, free_port

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], what: str, seconds: float = 60.0) -> Value:
    """Poll `condition` until it returns something true, and return that. AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
    return value


class HostProcess:
    """One host on one port, which may live several lives; the port and the settings stay the same."""

    def __init__(self, logs: Path, settings: Mapping[str, str], *arguments: str, script_root: Path = ROOT) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._logs = logs
        self._lives = 0
        self._settings = {"PYTHONPATH": str(ROOT), **settings}
        self._command = [sys.executable, "-m", "devhost", "start", "--port", str(self.port)]
        self._command += ["--script-root", str(script_root), *arguments]

    def start(self) -> HostProcess:
        """A new life, without waiting until it is ready."""
        self._lives += 1
        log = self._logs / f"host-{self.port}-{self._lives}.log"
        self.process = Process("host", self._command, env=self._settings, log=log).__enter__()
        return self

    def wait_ready(self) -> HostProcess:
        self.process.wait_until(self.is_ready)
        return self

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/admin/host/status", timeout=5).json()["state"] == "Running"
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self.process.send(signal.SIGKILL)
        self.process.wait()

    @property
    def output(self) -> str:
        """What all its lives have printed."""
        return "".join(path.read_text(errors="replace") for path in sorted(self._logs.glob(f"host-{self.port}-*.log")))

    def __enter__(self) -> HostProcess:
        return self.start().wait_ready()

    def __exit__(self, *_: object) -> None:
        self.process.stop()
