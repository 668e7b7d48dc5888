"""The watchdog on the real client: it finishes what a crash left half done, counts, and raises an alert."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from tests.integration.jobs_seen import fresh


@pytest.fixture
def shop(open_shop, service_bus):
    """Three dead letters are too many. There are none of what other tests have left in the ledger."""
    shop = open_shop(DEAD_LETTER_ALERT_DEPTH="2")
    watch(shop)
    service_bus.clear()
    return shop


def watch(shop) -> Any:
    """What its timer will do: its report."""
    return shop.call(importlib.import_module("jobs.watchdog").watch, timedelta(0))


def said(caplog, event: str) -> list[dict]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "nightshift"]
    return [line for line in lines if line["event"] == event]


def test_it_counts_and_raises_an_alert(jobs, bus, caplog):
    assert [each.depth for each in watch(jobs.shop).queues] == [0, 0, 0]
    for _ in range(3):
        jobs.put("no job")
    jobs.shop.drain()
    report = watch(jobs.shop)
    poison = report.queues[0]
    assert (poison.queue, poison.depth, report.moved, report.buried) == ("poison-jobs", 3, 0, 0)
    assert 0 <= poison.oldest < 60
    assert report.alerts == ["poison-jobs"]
    assert said(caplog, "Watched")[-1]["queues"][0] == {"queue": "poison-jobs", "depth": 3, "oldest": poison.oldest}
    (alert,) = said(caplog, "Alert")
    assert (alert["queue"], alert["depth"]) == ("poison-jobs", 3)


def test_it_finishes_a_move_that_was_begun(jobs, bus):
    said = {"source": "storage:jobs", "reason": "NotAJob", "description": "no JSON", "body": "messages/x"}
    bus.send("poison-jobs", ServiceBusMessage(b"", message_id="begun", application_properties=said))
    bus.send("poison-jobs", ServiceBusMessage(b"not the app's", message_id="foreign"))
    assert bus.waiting("poison-jobs") == 2
    assert watch(jobs.shop).moved == 2
    assert bus.waiting("poison-jobs") == 0
    moved = bus.dead()
    assert [letter.reason for letter in moved] == ["NotAJob", "Unknown"]
    assert moved[0].description == "no JSON"


def test_it_buries_a_job_that_had_failed_without_a_letter(jobs, bus, monkeypatch):
    id = fresh("greedy")

    async def away(*_):
        raise sys.modules["jobs.errors"].ServiceBusUnavailableError("it is away")

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["jobs.mover"].Mover, "move", away)
        jobs.submit(id, jobs.order(id, quantity=1000))
        jobs.shop.drain()
        assert jobs.ended(id)["error"]["type"] == "OutOfStock", "its status does not wait for the bus"
        assert bus.dead() == []
    assert watch(jobs.shop).buried >= 1
    (letter,) = (letter for letter in bus.dead() if letter.properties["jobId"] == id)
    assert letter.reason == "OutOfStock"
    jobs.shop.advance(minutes=30)
    assert len([letter for letter in bus.dead() if letter.properties["jobId"] == id]) == 1
    assert watch(jobs.shop).buried == 0
