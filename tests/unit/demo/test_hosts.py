"""Several hosts beside one another: told apart, all asked to stop at once, the loss of one said."""

from __future__ import annotations

import http.server
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo import hosts as module
from demo.hosts import hosts, wait_for_all
from demo.processes import Process, free_port

HOST = """
import signal, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

class Door(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"state": "Running"}')
    log_message = lambda *rest: None

port = int(sys.argv[sys.argv.index("--port") + 1])
terms = []

def stop(number, frame):
    terms.append(number)
    threading.Timer(0.05, server.shutdown).start()

signal.signal(signal.SIGTERM, stop)
server = HTTPServer(("127.0.0.1", port), Door)
print("up", *sys.argv[-2:])
server.serve_forever(0.02)
print("asked", len(terms), "times")
"""


@pytest.fixture
def fake(monkeypatch):
    """Hosts as far as this module knows them, without devhost's half second."""
    monkeypatch.setattr(module, "on_leash", lambda *arguments: [sys.executable, "-c", HOST, *arguments])


def noted(method: Callable, steps: list[str]) -> Callable:
    def call(self: Process) -> int | None:
        steps.append(method.__name__)
        return method(self)

    return call


def ports(count: int) -> int:
    """The first of some free ports in a row."""
    while True:
        first = free_port()
        servers = []
        try:
            for port in range(first, first + count):
                servers.append(http.server.HTTPServer(("127.0.0.1", port), None))
            return first
        except OSError:
            continue
        finally:
            for server in servers:
                server.server_close()


def test_hosts_share_a_hub_are_told_apart_and_drain_together_and_the_loss_of_one_is_said(fake, capfd, monkeypatch):
    said: list[str] = []
    steps: list[str] = []
    for step in ("ask_to_stop", "stop"):
        monkeypatch.setattr(Process, step, noted(getattr(Process, step), steps))
    first = ports(3)
    with hosts(3, first, Path("hub"), {}, None) as started:
        codes: list[int] = []
        watch = threading.Thread(target=lambda: codes.append(wait_for_all(started, said.append)), daemon=True)
        watch.start()
        started[1].send(signal.SIGKILL)
        deadline = time.monotonic() + 100
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        [lost] = said
    watch.join(10)
    assert codes == [0]
    assert steps[:3] == ["ask_to_stop"] * 3, "none waits for the drain of another"
    assert f"Lost: the host on port {first + 1} (python -m devhost start) was ended by SIGKILL." in lost
    lines = set(capfd.readouterr().out.splitlines())
    assert lines >= {f"{port}  up --task-hub hub" for port in range(first, first + 3)}
    assert lines >= {f"{port}  asked 1 times" for port in (first, first + 2)}, "a second SIGTERM would cut work off"


def test_one_host_writes_as_it_is_and_its_end_is_the_end(fake, capfd):
    said: list[str] = []
    with hosts(1, ports(1), Path("hub"), {}, None) as [host]:
        host.send(signal.SIGKILL)
        assert wait_for_all([host], said.append) == -signal.SIGKILL
    assert said == []
    assert isinstance(host, Process)
