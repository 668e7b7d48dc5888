"""Order events over the session queue: each order ends as its newest event wants it, or the event is buried."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from azure.servicebus import ServiceBusMessage
from azure.storage.blob import BlobServiceClient

from tests.integration.bus_seen import Bus
from tests.integration.jobs_seen import PIECES, fresh


def event(order: str, sequence: int, **fields) -> ServiceBusMessage:
    """A message of an order's session: a change of address if `fields` have one, else a cancel."""
    name = "change-address" if "address" in fields else "cancel"
    body = json.dumps({"event": name, "sequence": sequence, **fields})
    return ServiceBusMessage(body, session_id=order, message_id=fresh("event"))


@pytest.fixture
def waiting_order(jobs) -> Callable[[], str]:
    """An order that waits for ten minutes until it may ask the gateway again."""

    def submit() -> str:
        id = fresh("events")
        jobs.sandbox.fault({"when": {"customer": id}, "fault": "throttle", "retryAfter": 600, "times": 1})
        jobs.submit(id)
        jobs.shop.drain()
        assert jobs.status(id)["status"] == "Running"
        return id

    return submit


@pytest.fixture
def sent_to(jobs) -> Callable[[str], str]:
    """The address that an order's parcel was handed over with."""

    def address(id: str) -> str:
        (row,) = jobs.rows("orders", f"PartitionKey eq '{id}' and RowKey eq 'order'")
        assert row["state"] == "HandedOver"
        with BlobServiceClient.from_connection_string(jobs.storage) as blobs:
            claim = blobs.get_blob_client("claims", row["address"]).download_blob().readall()
        return json.loads(claim)["customer"]["address"]

    return address


def test_a_cancelled_order_is_undone(jobs, bus: Bus, waiting_order):
    id = waiting_order()
    bus.send("order-events", event(id, 1), event(id, 1))
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Cancelled"
    assert (jobs.left(), jobs.balance(id)) == (PIECES, 0)
    assert (bus.waiting("order-events"), jobs.shop.failures) == (0, [])
    assert [letter for letter in bus.dead() if letter.properties.get("jobId") == id] == []


def test_shuffled_changes_in_three_sessions_end_with_the_newest(jobs, bus: Bus, waiting_order, sent_to, caplog):
    caplog.set_level("INFO")
    orders = [waiting_order() for _ in range(3)]
    events = [event(id, n, address=f"{n} Marzipan Crescent, {id}") for id in orders for n in range(1, 11)]
    random.Random(3).shuffle(events)
    bus.send("order-events", *events)
    jobs.shop.drain()
    assert jobs.runs()["take_order_event"] == len(events)
    assert bus.waiting("order-events") == 0
    jobs.shop.advance(minutes=11)
    for id in orders:
        assert jobs.ended(id)["status"] == "Completed"
        assert sent_to(id) == f"10 Marzipan Crescent, {id}"
    assert "OrderEventIgnored" in caplog.text and "OrderEventApplied" in caplog.text
    assert "Marzipan" not in caplog.text + repr(jobs.rows("orders")) + repr(jobs.rows("jobs"))


def test_after_the_hand_over_a_change_is_buried(jobs, bus: Bus, sent_to, caplog):
    caplog.set_level("INFO")
    id = fresh("gone")
    jobs.submit(id)
    jobs.shop.drain()
    bus.send("order-events", event(id, 1, address="77 Marzipan Crescent"), event(id, 2))
    jobs.shop.drain()
    assert (jobs.ended(id)["status"], sent_to(id)) == ("Completed", jobs.order(id)["customer"]["address"])
    letters = [letter for letter in bus.dead() if letter.properties.get("sessionId") == id]
    assert [(letter.reason, letter.source) for letter in letters] == [("TooLate", "servicebus:order-events")] * 2
    assert {letter.properties["jobId"] for letter in letters} == {id}
    assert "Marzipan" not in caplog.text + repr(letters)


def test_no_order_waits_for_the_silence_of_another(jobs, bus: Bus):
    """A host holds a session for a while after its last event, and only so many at a time (functions-host.md §7)."""
    bus.send("order-events", *(event(fresh("nobody"), 1) for _ in range(12)))
    jobs.shop.drain(timeout=30)
    assert (jobs.runs()["take_order_event"], bus.waiting("order-events")) == (12, 0)


def test_events_that_nobody_can_apply_cost_one_attempt(jobs, bus: Bus):
    nobody, id = fresh("nobody"), fresh("odd")
    jobs.submit(id)
    jobs.shop.drain()
    odd = ServiceBusMessage("{", session_id=id), event(id, 0), event(nobody, 1)
    bus.send("order-events", *odd)
    jobs.shop.drain()
    letters = [letter for letter in bus.dead() if letter.properties.get("sessionId") in (id, nobody)]
    assert sorted(letter.reason for letter in letters) == ["InvalidInput", "JobNotFound", "NotAJob"]
    assert (jobs.runs()["take_order_event"], bus.dead("order-events")) == (3, [])
