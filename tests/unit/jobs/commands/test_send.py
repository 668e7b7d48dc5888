"""`send`: what lies in the queue afterwards is the job message that the doors take."""

from __future__ import annotations

import asyncio
import io
import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.servicebus.aio import ServiceBusClient
from azure.storage.queue import QueueServiceClient

from jobs.commands.program import main
from jobs.job import open_envelope, parse
from jobs.settings import settings
from tests.orders import order

pytestmark = pytest.mark.usefixtures("at_azurite", "impatience")


@pytest.fixture
def taken(azurite):
    """Takes all messages out of a queue, which it leaves empty; both queues begin empty."""
    with QueueServiceClient.from_connection_string(azurite.connection_string) as service:

        def take(queue: str) -> list[dict]:
            with service.get_queue_client(queue) as client:
                found = [json.loads(message.content) for message in client.receive_messages()]
                client.clear_messages()
            return found

        for name in ("jobs", "jobs-urgent"):
            with suppress(ResourceExistsError):
                service.create_queue(name)
            service.get_queue_client(name).clear_messages()
        yield take


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "input.json"
    path.write_text(json.dumps(order("c-1")))
    return str(path)


@pytest.mark.parametrize(("option", "queue"), [([], "jobs"), (["--urgent"], "jobs-urgent")])
def test_an_input_becomes_a_job(file, taken, capsys, option, queue):
    id = uuid4().hex
    assert main(["send", "order", file, "--id", id, "--correlation-id", "c-7", *option]) == 0
    assert capsys.readouterr().out == f"order/{id}\n"
    (message,) = taken(queue)
    assert message == {"kind": "order", "id": id, "correlationId": "c-7", "input": order("c-1")}
    assert parse(open_envelope(message)).id == id


def test_each_job_without_an_id_is_one_of_its_own(file, taken, capsys):
    names = []
    for _ in range(2):
        assert main(["send", "order", file, "--json"]) == 0
        names.append(json.loads(capsys.readouterr().out))
    assert names[0] == {"kind": "order", "id": names[0]["id"], "queue": "jobs", "bus": False}
    assert len({name["id"] for name in names}) == 2
    assert {message["id"] for message in taken("jobs")} == {name["id"] for name in names}


def test_a_job_that_is_not_to_start_yet(file, taken, capsys):
    assert main(["send", "order", file, "--not-before", "2026-12-01T08:00+01:00", "--urgent"]) == 0
    assert [message["notBefore"] for message in taken("jobs-urgent")] == ["2026-12-01T08:00:00+01:00"]
    before = datetime.now(UTC)
    assert main(["send", "order", file, "--not-before", "+10m", "--check"]) == 0
    (message,) = taken("jobs")
    named = datetime.fromisoformat(message["notBefore"])
    assert timedelta(minutes=10) <= named - before < timedelta(minutes=11)
    assert parse(open_envelope(message)).not_before


@pytest.mark.parametrize(
    ("given", "code", "said"), [("tomorrow", 2, "+2h for in two hours"), ("+999d", 1, "a year ahead")]
)
def test_a_time_that_cannot_be_waited_for(file, taken, capsys, given, code, said):
    try:
        ended = main(["send", "order", file, "--not-before", given, "--check"])
    except SystemExit as error:
        ended = error.code
    assert (ended, taken("jobs")) == (code, []) and said in capsys.readouterr().err


def test_an_input_from_stdin(taken, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"event": "seen"}')))
    assert main(["send", "analytics", "-"]) == 0
    assert [message["input"] for message in taken("jobs")] == [{"event": "seen"}]


@pytest.mark.parametrize(
    ("arguments", "content", "said"),
    [
        (["order"], "{", "not JSON"),
        (["order"], json.dumps({"a": "x" * 70_000}), "64 KB"),
        (["order", "--check"], "{}", "customer"),
        (["order", "--check", "--id", "a b"], "{}", "id"),
        (["cake", "--check"], "{}", "no such kind"),
        (["order", "--check"], "[]", "input"),
    ],
)
def test_what_is_not_sent_is_explained(tmp_path, taken, capsys, arguments, content, said):
    path = tmp_path / "input.json"
    path.write_text(content)
    kind, *options = arguments
    assert main(["send", kind, str(path), *options]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert said in printed.err
    assert taken("jobs") == []


def test_a_file_that_is_not_there(taken, capsys):
    assert main(["send", "order", "none.json"]) == 1
    assert capsys.readouterr().err == "error: there is no file none.json: is its path right?\n"


def test_unless_it_is_to_be_checked_anything_can_be_sent_and_is_warned_of(tmp_path, taken, capsys):
    path = tmp_path / "input.json"
    path.write_text("[]")
    assert main(["send", "cake", str(path), "--id", "a b"]) == 0
    assert taken("jobs") == [{"kind": "cake", "id": "a b", "input": []}]
    assert "--check" in capsys.readouterr().err


def test_without_a_service_bus_its_setting_is_named(file, monkeypatch, capsys):
    monkeypatch.delenv("AzureWebJobsServiceBus", raising=False)
    settings.cache_clear()
    assert main(["send", "order", file, "--bus"]) == 1
    assert "AzureWebJobsServiceBus" in capsys.readouterr().err


class TestToTheBus:
    """`--bus`: the Service Bus queue `jobs`."""

    @pytest.fixture(autouse=True)
    def _bus(self, service_bus, monkeypatch):
        service_bus.clear()
        monkeypatch.setenv("AzureWebJobsServiceBus", service_bus.connection_string)
        settings.cache_clear()

    def test_the_message_has_the_id_of_the_job(self, file, service_bus, capsys):
        assert main(["send", "order", file, "--bus", "--id", "A-1", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"kind": "order", "id": "A-1", "queue": "jobs", "bus": True}
        (message,) = asyncio.run(received(service_bus.connection_string))
        assert (message.message_id, message.content_type) == ("A-1", "application/json")
        assert json.loads(b"".join(message.body)) == {"kind": "order", "id": "A-1", "input": order("c-1")}

    def test_an_id_that_no_message_can_have_is_sent_all_the_same(self, file, service_bus):
        assert main(["send", "order", file, "--bus", "--id", "A" * 200]) == 0
        (message,) = asyncio.run(received(service_bus.connection_string))
        assert json.loads(b"".join(message.body))["id"] == "A" * 200

    def test_a_message_that_is_too_large_is_refused(self, tmp_path, capsys):
        path = tmp_path / "input.json"
        path.write_text(json.dumps({"a": "x" * 300_000}))
        assert main(["send", "order", str(path), "--bus"]) == 1
        assert "larger than a Service Bus message" in capsys.readouterr().err

    def test_a_bus_that_is_away_is_named(self, file, monkeypatch, capsys):
        text = settings().service_bus_connection_string
        monkeypatch.setenv("AzureWebJobsServiceBus", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", text))
        settings.cache_clear()
        monkeypatch.setattr("jobs.clients._BUS_RETRIES", {"retry_total": 0})
        assert main(["send", "order", file, "--bus"]) == 1
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        assert "Service Bus" in printed.err and "make run" in printed.err


async def received(connection_string: str) -> list:
    """All that waits in the queue `jobs`, left there."""
    async with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_queue_receiver("jobs") as receiver,
    ):
        return await receiver.peek_messages(10)


def test_an_argument_that_is_no_text_is_explained(file, capsys):
    assert main(["send", "order", file, "--id", "\udcff"]) == 1
    assert capsys.readouterr().err == "error: what is sent must be text: an argument is not UTF-8\n"


def test_ctrl_c_ends_it_as_shells_expect(file, monkeypatch, capsys):
    def interrupted(coroutine):
        coroutine.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    assert main(["send", "order", file]) == 130
    assert capsys.readouterr().err == ""
