"""The host and the Service Bus as a person starts them, in processes of their own that signals kill and end.

They are forked from one that has imported the libraries (`tests.forked`); commands typed in full: conformance/test_cli.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

import httpx
from azure.servicebus.management import ServiceBusAdministrationClient

from demo.processes import ROOT, Process, free_port
from devhost.servicebus.plain_http import PlainHttpTransport
from tests.forked import ForkedProcess

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], what: str, seconds: float = 200.0, pause: float = 0.02) -> Value:
    """Poll `condition` until it returns something true, and return that. AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
    return value


class Killable:
    """One server on ports that stay the same, which may live several lives; each life has a log of its own."""

    process: Process

    def __init__(self, name: str, logs: Path, command: Sequence[str], settings: Mapping[str, str]) -> None:
        self._name = name
        self._logs = logs
        self._command = command
        self._settings = settings
        self._lives = 0

    def configure(self, **settings: str) -> None:
        """Other settings, from the next life on."""
        self._settings = {**self._settings, **settings}

    def start(self) -> Self:
        """A new life, without waiting until it is ready."""
        self._lives += 1
        log = self._logs / f"{self._name}-{self._lives}.log"
        self.process = ForkedProcess(self._name, self._command, env=self._settings, log=log).__enter__()
        return self

    def wait_ready(self) -> Self:
        self.process.wait_until(self.is_ready, seconds=200.0)
        return self

    def is_ready(self) -> bool:
        raise NotImplementedError

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self.process.send(signal.SIGKILL)
        self.process.wait()

    @property
    def output(self) -> str:
        """What all its lives have printed."""
        return "".join(path.read_text(errors="replace") for path in sorted(self._logs.glob(f"{self._name}-*.log")))

    def __enter__(self) -> Self:
        return self.start().wait_ready()

    def __exit__(self, *_: object) -> None:
        self.process.stop()


class HostProcess(Killable):
    """`python -m devhost start`."""

    def __init__(self, logs: Path, settings: Mapping[str, str], *arguments: str, script_root: Path = ROOT) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "devhost", "start", "--port", str(self.port)]
        command += ["--script-root", str(script_root), *arguments]
        super().__init__(f"host-{self.port}", logs, command, {"PYTHONPATH": str(ROOT), **settings})

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/admin/host/status", timeout=30).json()["state"] == "Running"
        except httpx.TransportError:
            return False


class BusProcess(Killable):
    """`python -m devhost.servicebus` with the app's entities and a database.

    What a killed host was working on comes back after 5 s, and is not given up for it, however often that happens.
    """

    def __init__(self, folder: Path) -> None:
        self.port, self._admin_port = free_port(), free_port()
        self.connection_string = (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )
        config = json.loads((ROOT / "servicebus.json").read_text())
        for queue in config["UserConfig"]["Namespaces"][0]["Queues"]:
            queue["Properties"] |= {"LockDuration": "PT5S", "MaxDeliveryCount": 100}
        (folder / "servicebus.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "devhost.servicebus", "--config", str(folder / "servicebus.json")]
        command += ["--port", str(self.port), "--admin-port", str(self._admin_port)]
        super().__init__(f"bus-{self.port}", folder, [*command, "--database", str(folder / "bus.sqlite3")], {})

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def active(self, queue: str) -> int:
        """How many messages wait in a queue, its sessions and its deferred ones included."""
        admin = self.connection_string.replace(f":{self.port};", f":{self._admin_port};")
        with ServiceBusAdministrationClient.from_connection_string(admin, transport=PlainHttpTransport()) as client:
            return client.get_queue_runtime_properties(queue).active_message_count
