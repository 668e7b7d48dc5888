"""`python -m devhost.servicebus` as a parent process sees it: ready line, signals, exit codes, what outlives it."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.management import ServiceBusAdministrationClient

from devhost.servicebus.plain_http import PlainHttpTransport

ROOT = Path(__file__).resolve().parents[4]
ON_FREE_PORTS = ("--port", "0", "--admin-port", "0")


def configuration(*queues: dict[str, Any]) -> str:
    return json.dumps({"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": list(queues)}]}})


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(configuration({"Name": "q"}))
    return path


class Bus:
    """One life of a bus."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "devhost.servicebus", *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Bus:
        self.ready = json.loads(self.process.stdout.readline())
        self.connection_string = self.ready["connectionString"]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Stop it by a signal, and return what it said on stderr."""
        self.process.send_signal(number)
        error = self.process.communicate(timeout=100)[1]
        assert self.process.returncode == 0, error
        return error

    def admin(self) -> ServiceBusAdministrationClient:
        text = self.connection_string.replace(str(self.ready["amqp"]), str(self.ready["admin"]))
        return ServiceBusAdministrationClient.from_connection_string(text, transport=PlainHttpTransport())


def refused(*arguments: object) -> tuple[int, str]:
    """Exit code and stderr of a bus that does not start."""
    command = [sys.executable, "-m", "devhost.servicebus", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_on_a_signal(config, number):
    with Bus("--config", config, "--memory", *ON_FREE_PORTS) as bus:
        assert f"Endpoint=sb://127.0.0.1:{bus.ready['amqp']};" in bus.connection_string
        assert "UseDevelopmentEmulator=true" in bus.connection_string
        with socket.create_connection(("127.0.0.1", bus.ready["amqp"])) as client:
            client.sendall(b"AMQP\x03\x01\x00\x00")
            assert client.recv(8) == b"AMQP\x03\x01\x00\x00"
        assert httpx.get(f"http://127.0.0.1:{bus.ready['admin']}/health").status_code == 200
        assert bus.end(number) == ""


def test_a_signal_right_after_the_ready_line_ends_it_too(config):
    with Bus("--config", config, "--memory", *ON_FREE_PORTS) as bus:
        assert bus.end() == ""


def test_what_was_made_at_run_time_and_messages_outlive_it(config, tmp_path):
    with Bus("--config", config, *ON_FREE_PORTS) as bus, bus.admin() as admin:
        admin.create_queue("made-at-run-time", lock_duration="PT7S")
        with (
            ServiceBusClient.from_connection_string(bus.connection_string) as client,
            client.get_queue_sender("made-at-run-time") as sender,
        ):
            sender.send_messages(ServiceBusMessage("still here"))
        bus.end()
    assert (tmp_path / ".devhost" / "servicebus.sqlite3").exists()

    config.write_text(configuration({"Name": "q", "Properties": {"MaxDeliveryCount": 9}}, {"Name": "another"}))
    with Bus("--config", config, *ON_FREE_PORTS) as bus, bus.admin() as admin:
        assert [queue.name for queue in admin.list_queues()] == ["another", "made-at-run-time", "q"]
        assert admin.get_queue("q").max_delivery_count == 9
        with (
            ServiceBusClient.from_connection_string(bus.connection_string) as client,
            client.get_queue_receiver("made-at-run-time") as receiver,
        ):
            assert [str(message) for message in receiver.receive_messages(max_wait_time=5)] == ["still here"]


def test_a_configuration_with_oddities_is_taken_with_a_line_for_each(config):
    config.write_text(configuration({"Name": "q", "Properties": {"LockDuration": "PT1S", "Colour": "red"}}))
    with Bus("--config", config, "--memory", *ON_FREE_PORTS) as bus:
        lines = bus.end().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("servicebus: UserConfig.Namespaces[0].Queues[0].Properties.") for line in lines)


def test_a_configuration_that_cannot_be_used_is_exit_code_2(config, tmp_path):
    code, said = refused("--config", tmp_path / "none.json")
    assert (code, said.count("\n")) == (2, 2)
    assert "none.json" in said and "--config" in said
    config.write_text(configuration({"Name": "q", "Properties": {"LockDuration": "1m"}}))
    code, said = refused("--config", config, "--memory", *ON_FREE_PORTS)
    assert code == 2
    assert "Queues[0].Properties.LockDuration cannot be used: '1m'" in said


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_what_is_no_port_is_exit_code_2(config, option):
    code, said = refused("--config", config, "--memory", option, "65536")
    assert code == 2
    assert f"argument {option}: '65536' is no port" in said


def test_a_database_that_does_not_agree_is_exit_code_2(config, tmp_path):
    with Bus("--config", config, *ON_FREE_PORTS) as bus:
        bus.end()
    config.write_text(configuration({"Name": "q", "Properties": {"RequiresSession": True}}))
    code, said = refused("--config", config, *ON_FREE_PORTS)
    assert code == 2
    assert "requires_session of an existing entity cannot be changed" in said
    assert "delete the bus's database file" in said


def test_a_taken_port_is_exit_code_1_with_a_remedy(config):
    with Bus("--config", config, "--memory", *ON_FREE_PORTS) as bus:
        for port, other in (("--port", "--admin-port"), ("--admin-port", "--port")):
            taken = bus.ready["amqp"]
            code, said = refused("--config", config, "--memory", port, taken, other, 0)
            assert code == 1
            assert f"Port {taken}" in said and f"choose another port with {port}" in said


def test_a_database_of_another_layout_or_of_another_process_is_exit_code_1(config, tmp_path):
    other = tmp_path / "other.sqlite3"
    with sqlite3.connect(other) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    code, said = refused("--config", config, "--database", other, *ON_FREE_PORTS)
    assert code == 1
    assert "has layout 99" in said
    shared = tmp_path / "shared.sqlite3"
    with Bus("--config", config, "--database", shared, *ON_FREE_PORTS):
        code, said = refused("--config", config, "--database", shared, *ON_FREE_PORTS)
    assert code == 1
    assert "Another process has" in said
