"""Starts Azurite, the storage emulator, for tests and demonstrations; it never outlives its parent process."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from devhost.errors import ServiceUnavailableError
from devhost.storage.connections import development_connection_string

# Node ends when its standard input does, which happens however this process ends, even by SIGKILL.
_WATCHDOG = 'data:text/javascript,process.stdin.resume().on("end",()=>process.kill(process.pid,"SIGTERM"))'
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at http://[^:]+:(\d+)")
_MAIN = Path("node_modules") / "azurite" / "dist" / "src" / "azurite.js"
_START = 30.0
_STOP = 10.0
_KEEP_ALIVE = 30
"""Seconds that an idle connection stays open. Azurite's own 5 are less than those of most clients, the Azure SDK's 15
among them: a busy one then writes into a connection that has just been closed."""


class Ports(NamedTuple):
    """Where the three services listen."""

    blob: int
    queue: int
    table: int


class Azurite:
    """One Azurite process. A context manager; start() and stop() also work by themselves, and again."""

    def __init__(
        self, location: Path | None = None, ports: tuple[int, int, int] | None = None, search_from: Path | None = None
    ) -> None:
        """`location`: the folder for its data (None: memory); `ports`: blob, queue, table (None: free ones);
        `search_from`: where to look for node_modules, upwards (default: the current folder)."""
        self._location = location
        self._wanted = Ports(*ports) if ports else Ports(0, 0, 0)
        self._search_from = search_from or Path.cwd()
        self._process: subprocess.Popen[str] | None = None
        self._output: deque[str] = deque(maxlen=50)
        self._found: dict[str, int] = {}
        self._is_listening = threading.Event()

    def __enter__(self) -> Azurite:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ports(self) -> Ports:
        """The ports in use; only after start()."""
        return Ports(self._found["blob"], self._found["queue"], self._found["table"])

    @property
    def connection_string(self) -> str:
        """What to put into AzureWebJobsStorage."""
        return development_connection_string(*self.ports)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> Azurite:
        """Start it and wait until all three services answer. Raises ServiceUnavailableError."""
        command = self._command()
        self._found.clear()
        self._is_listening.clear()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C in a terminal must not end it before those who still use it; its watchdog ends it after them.
            process_group=0,
        )
        threading.Thread(target=self._read, args=(self._process,), name="azurite output", daemon=True).start()
        deadline = time.monotonic() + _START
        self._is_listening.wait(_START)
        if len(self._found) < 3 or not all(_answers(port, deadline) for port in self.ports):
            self.stop()
            raise ServiceUnavailableError(
                "Azurite did not start. It printed:\n" + "\n".join(self._output),
                "Another Azurite, or a second `make run`, may have one of its ports; or Node is older than 20.",
            )
        return self

    def stop(self) -> None:
        """End it; what it holds in a folder is written first."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()  # the watchdog sends SIGTERM; an open input would keep Node alive after it
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _command(self) -> list[str]:
        node = shutil.which("node")
        if node is None:
            raise ServiceUnavailableError("Azurite needs Node, which is not on the PATH.", "Install Node 20 or newer.")
        command = [node, "--import", _WATCHDOG, str(find_azurite(self._search_from))]
        command += ["--skipApiVersionCheck", "--silent", "--disableTelemetry"]
        for service, port in self._wanted._asdict().items():
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
            command += [f"--{service}KeepAliveTimeout", str(_KEEP_ALIVE)]
        return command + (["--location", str(self._location)] if self._location else ["--inMemoryPersistence"])

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout:
            self._output.append(line.rstrip())
            if match := _LISTENING.search(line):
                self._found[match.group(1).lower()] = int(match.group(2))
                if len(self._found) == 3:
                    self._is_listening.set()
        self._is_listening.set()
        process.stdout.close()


def find_azurite(start: Path) -> Path:
    """Azurite's main file: $AZURITE, node_modules in `start` or above, or `azurite` on the PATH.

    Raises ServiceUnavailableError.
    """
    if given := os.environ.get("AZURITE"):
        return Path(given)
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / _MAIN).is_file():
            return folder / _MAIN
    if installed := shutil.which("azurite"):
        return Path(installed).resolve()
    raise ServiceUnavailableError(
        f"Azurite is not installed in {start.resolve()} or above it.",
        "Run `npm ci` in the project, or `npm install azurite@3.35.0`, or set AZURITE to its azurite.js.",
    )


def _answers(port: int, deadline: float) -> bool:
    """Whether a real request gets a real answer (403, since it is not signed) before the deadline."""
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/devstoreaccount1?comp=list")
            connection.getresponse().read()
            return True
        except OSError:
            time.sleep(0.02)
        finally:
            connection.close()
    return False
