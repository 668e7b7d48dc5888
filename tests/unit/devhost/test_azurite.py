"""The Azurite launcher: it starts, keeps what it should, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from azure.storage.queue import QueueServiceClient

from devhost.azurite import Azurite, find_azurite
from devhost.errors import ServiceUnavailableError

ROOT = Path(__file__).resolve().parents[3]


def queues(azurite):
    with QueueServiceClient.from_connection_string(azurite.connection_string) as client:
        return [queue.name for queue in client.list_queues()]


def create(azurite, name):
    with QueueServiceClient.from_connection_string(azurite.connection_string) as client:
        client.create_queue(name)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_in_memory_on_free_ports():
    with Azurite(search_from=ROOT) as one, Azurite(search_from=ROOT) as two:
        assert not set(one.ports) & set(two.ports)
        create(one, "only-in-one")
        assert (queues(one), queues(two)) == (["only-in-one"], [])
        pid = one.pid
    assert not is_running(pid)


def test_it_keeps_idle_connections_for_longer_than_the_sdk_does(azurite):
    """aiohttp, by which the SDK speaks, keeps them for 15 seconds."""
    for port in azurite.ports:
        answer = httpx.get(f"http://127.0.0.1:{port}/")
        assert int(answer.headers["Keep-Alive"].removeprefix("timeout=")) > 15


def test_a_folder_keeps_the_data_and_the_ports_can_be_the_same_again(tmp_path):
    azurite = Azurite(location=tmp_path, search_from=ROOT).start()
    ports = azurite.ports
    create(azurite, "kept")
    azurite.stop()
    with Azurite(location=tmp_path, ports=ports, search_from=ROOT) as again:
        assert again.ports == ports and queues(again) == ["kept"]


def test_it_does_not_outlive_a_parent_that_is_killed():
    code = (
        "import sys, time; from pathlib import Path; from devhost.azurite import Azurite\n"
        f"print(Azurite(search_from=Path({str(ROOT)!r})).start().pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 100
    while is_running(pid):
        assert time.monotonic() < deadline, "Azurite is still there"
        time.sleep(0.02)


def test_a_port_that_is_taken_is_said():
    with Azurite(search_from=ROOT) as first:
        second = Azurite(ports=first.ports, search_from=ROOT)
        with pytest.raises(ServiceUnavailableError, match="did not start"):
            second.start()
        assert second.pid is None


def test_where_it_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("AZURITE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceUnavailableError, match="not installed") as caught:
        find_azurite(tmp_path)
    assert "npm ci" in caught.value.remedy
    main = tmp_path / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    main.parent.mkdir(parents=True)
    main.touch()
    (tmp_path / "deep").mkdir()
    assert find_azurite(tmp_path / "deep") == main
    monkeypatch.setenv("AZURITE", "/given/azurite.js")
    assert find_azurite(tmp_path) == Path("/given/azurite.js")
