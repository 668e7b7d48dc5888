"""The watchdog on the real client: it finishes what a crash left half done, counts, and raises an alert."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import timedelta
from typing import Any

import pytest
from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusMessage

from tests.integration.jobs_seen import fresh


@pytest.fixture
def shop(open_shop, service_bus, no_alerts):
    """Three dead letters are too many. There are none of what other tests have left in the ledger."""
    shop = open_shop(DEAD_LETTER_ALERT_DEPTH="2")
    watch(shop)
    service_bus.clear()
    return shop


def watch(shop) -> Any:
    """What its timer does: its report."""
    return shop.call(importlib.import_module("jobs.watchdog").watch, timedelta(0))


def said(caplog, *events: str) -> list[dict]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "nightshift"]
    return [line for line in lines if line["event"] in events]


def test_too_many_dead_letters_are_an_alert_until_there_are_less(jobs, bus, caplog, monkeypatch):
    assert [each.depth for each in watch(jobs.shop).dead_letters] == [0] * 4
    for _ in range(3):
        jobs.put("no job")
    jobs.shop.drain()
    report = watch(jobs.shop)
    watch(jobs.shop)
    poison = report.dead_letters[0]
    assert (poison.queue, poison.depth, report.moved, report.buried) == ("poison-jobs", 3, 0, 0)
    assert 0 <= poison.oldest < 60
    shown = jobs.shop.get("/api/schedules").json()["alerts"]
    assert ("dead-letters:poison-jobs", 3) in [(each["alert"], each.get("depth")) for each in shown]
    assert "dead-letters:poison-jobs" in jobs.shop.get("/api/health").json()["alerts"]

    for letter in jobs.shop.get("/api/dead-letters").json()["deadLetters"]:
        jobs.shop.request("DELETE", f"/api/dead-letters/{letter['id']}")
    watch(jobs.shop)
    assert "dead-letters:poison-jobs" in jobs.shop.get("/api/health").json()["alerts"], "it may come back"
    clock = sys.modules["jobs.clock"]
    monkeypatch.setattr(clock, "now", lambda now=clock.now: now() + timedelta(minutes=6))
    watch(jobs.shop)
    told = [line["event"] for line in said(caplog, "Alert", "AlertCleared") if "poison" in line["alert"]]
    assert told == ["Alert", "AlertCleared"]


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


def test_a_job_that_an_operator_terminated_ends_and_is_not_done_twice(jobs, bus):
    id = fresh("stopped")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "charge"}, "fault": "throttle", "retryAfter": 600})
    jobs.submit(id)
    jobs.shop.drain()
    terminate = f"/runtime/webhooks/durabletask/instances/order-{id}/terminate?reason=enough"
    assert jobs.shop.post(terminate).status_code == 202
    with TableServiceClient.from_connection_string(jobs.storage) as service:
        row = {"PartitionKey": "order", "RowKey": id, "startedAt": "2026-01-01T00:00:00.000000Z"}
        service.get_table_client("jobs").update_entity(row)
        # Another test may have had a watch in this minute, and there is one each minute only.
        schedules = service.get_table_client("schedules")
        for watched in schedules.query_entities("PartitionKey eq 'watchdog'"):
            schedules.delete_entity(watched)
    jobs.shop.drain()
    jobs.shop.post("/admin/functions/watchdog", json={}).raise_for_status()
    jobs.shop.drain()

    (row,) = jobs.rows("jobs", f"PartitionKey eq 'order' and RowKey eq '{id}'")
    assert (row["state"], row["buried"], json.loads(row["error"])["type"]) == ("Failed", True, "Terminated")
    letters = jobs.shop.get("/api/dead-letters").json()["deadLetters"]
    (letter,) = (each for each in letters if each["jobId"] == id)
    refused = jobs.shop.post(f"/api/dead-letters/{letter['id']}/replay")
    assert (refused.status_code, "settle that by hand" in refused.json()["detail"]) == (409, True)
