"""Order events: applied once, in the order of their numbers, and never silently lost."""

from __future__ import annotations

import asyncio
import json
import random
from uuid import uuid4

import pytest

from activities import orders
from jobs import claim_check, dead_letters, intake, ledger, order_changes, order_events
from jobs.clients import clients
from jobs.errors import InvalidInputError, NotAJobError, TransientError
from jobs.job import Envelope, parse
from jobs.order_events import EventDelivery
from tests.orders import order
from tests.unit.activities.calls import call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

SOLD = {"lines": [], "total": 1000, "currency": "EUR", "charge": "charge_1"}


@pytest.fixture
def buried(monkeypatch) -> list[tuple]:
    """What was buried: source, session and reason of each."""
    letters = []

    async def bury(source, message_id, body, error, *, attempts, session_id):
        letters.append((source, session_id, error.type))

    monkeypatch.setattr(dead_letters, "bury_message", bury)
    return letters


@pytest.fixture
async def job(durable) -> ledger.JobRef:
    """An order that has just been submitted."""
    id = uuid4().hex
    return (await intake.submit(parse(Envelope(kind="order", id=id, input=order("c-1"))), durable)).entry.job


def cancel(sequence: int) -> dict:
    return {"event": "cancel", "sequence": sequence}


def change(sequence: int, address: str | None = None) -> dict:
    return {"event": "change-address", "sequence": sequence, "address": address or f"{sequence} High Street"}


async def deliver(job: ledger.JobRef, event: dict, durable, *, is_last: bool = False) -> None:
    delivery = EventDelivery(job.id, f"message-{event['sequence']}", attempt=5 if is_last else 1, is_last=is_last)
    await order_events.receive(json.dumps(event).encode(), delivery, durable)


async def hand_over(job: ledger.JobRef) -> None:
    await orders.confirm(call("confirm_order", SOLD, job.id))
    await orders.hand_over(call("hand_over_order", {}, job.id, job.claim))


async def parcel_goes_to(job: ledger.JobRef) -> str:
    row = await clients().table("orders").get_entity(job.id, "order")
    return (await claim_check.read(row["address"]))["customer"]["address"]


async def test_a_parcel_goes_where_it_was_ordered_to(job, durable):
    await hand_over(job)
    assert await parcel_goes_to(job) == order("c-1")["customer"]["address"]


async def test_a_parcel_goes_to_the_new_address(job, durable, buried):
    await deliver(job, change(1), durable)
    await deliver(job, change(2), durable)
    await hand_over(job)
    assert await parcel_goes_to(job) == "2 High Street"
    assert buried == []


@pytest.mark.parametrize("stale", [change(2, "elsewhere"), change(1), cancel(2), cancel(1)])
async def test_what_is_repeated_or_older_is_ignored_with_a_line_in_the_log(job, durable, buried, caplog, stale):
    caplog.set_level("INFO", "nightshift")
    await deliver(job, change(2), durable)
    await deliver(job, stale, durable)
    await hand_over(job)
    assert (await parcel_goes_to(job), buried, durable.events) == ("2 High Street", [], [])
    line = json.loads(caplog.records[-1].message)
    assert line == {
        "event": "OrderEventIgnored",
        "kind": "order",
        "id": job.id,
        "correlationId": job.correlation_id,
        "change": stale["event"],
        "sequence": stale["sequence"],
        "newest": 2,
    }


async def test_the_newest_wins_whatever_the_order_they_come_in(job, durable, buried):
    events = [change(number) for number in range(1, 9)]
    random.Random(7).shuffle(events)
    await asyncio.gather(*(deliver(job, event, durable) for event in events))
    await hand_over(job)
    assert (await parcel_goes_to(job), buried) == ("8 High Street", [])


async def test_a_large_number_is_kept(job, durable, buried):
    await deliver(job, change(2**53), durable)
    await deliver(job, change(2**53 - 1), durable)
    assert (await order_changes.read(job.id)).sequence == 2**53


async def test_a_change_after_the_hand_over_is_too_late(job, durable, buried):
    await deliver(job, change(1), durable)
    await hand_over(job)
    await deliver(job, change(2), durable)
    assert await parcel_goes_to(job) == "1 High Street"
    assert buried == [("servicebus:order-events", job.id, "TooLate")]
    assert (await order_changes.read(job.id)).sequence == 1


async def test_a_change_during_the_hand_over_is_in_the_parcel_or_refused(durable, buried):
    """Both read, then both write: whoever is second reads again."""
    for number in range(8):
        envelope = Envelope(kind="order", id=uuid4().hex, input=order("c-1"))
        job = (await intake.submit(parse(envelope), durable)).entry.job
        await orders.confirm(call("confirm_order", SOLD, job.id))
        handing = orders.hand_over(call("hand_over_order", {}, job.id, job.claim))
        changing = deliver(job, change(1), durable)
        await asyncio.gather(*((handing, changing) if number % 2 else (changing, handing)))
        refused = job.id in [session for _, session, _ in buried]
        assert (await parcel_goes_to(job) == "1 High Street") is not refused


@pytest.mark.parametrize("first", ["change", "hand-over"])
async def test_whoever_is_overtaken_reads_again(job, durable, buried, monkeypatch, first):
    await orders.confirm(call("confirm_order", SOLD, job.id))
    read = order_changes.read

    async def overtaken(order_id):
        row = await read(order_id)
        monkeypatch.setattr(order_changes, "read", read)
        if first == "change":
            await deliver(job, change(1), durable)
        else:
            await orders.hand_over(call("hand_over_order", {}, job.id, job.claim))
        return row

    if first == "change":
        monkeypatch.setattr(order_changes, "read", overtaken)
        await orders.hand_over(call("hand_over_order", {}, job.id, job.claim))
        assert (await parcel_goes_to(job), buried) == ("1 High Street", [])
    else:
        # The event's first look is for its number; the second is the one it relies on.
        async def first_look(order_id):
            monkeypatch.setattr(order_changes, "read", overtaken)
            return await read(order_id)

        monkeypatch.setattr(order_changes, "read", first_look)
        await deliver(job, change(1), durable)
        assert [reason for _, _, reason in buried] == ["TooLate"]
        assert await parcel_goes_to(job) == order("c-1")["customer"]["address"]


async def test_a_repeated_hand_over_is_the_same_parcel(job):
    await hand_over(job)
    before = dict(await clients().table("orders").get_entity(job.id, "order"))
    await orders.hand_over(call("hand_over_order", {}, job.id, job.claim))
    assert dict(await clients().table("orders").get_entity(job.id, "order")) == before


async def test_cancel_asks_the_order_and_is_recorded(job, durable, buried):
    await deliver(job, cancel(3), durable)
    await deliver(job, cancel(3), durable)
    assert durable.events == [(job.instance_id, "cancel")]
    assert ((await order_changes.read(job.id)).sequence, buried) == (3, [])


@pytest.mark.parametrize(
    ("state", "error"), [("Cancelled", None), ("Failed", {"type": "JobCancelled", "openCompensations": ["refund"]})]
)
async def test_a_cancel_that_was_granted_before_its_number_was_recorded_is_no_failure(
    job, durable, buried, state, error
):
    await ledger.end(job, None, state, error=error)
    await deliver(job, cancel(3), durable)
    assert ((await order_changes.read(job.id)).sequence, buried) == (3, [])


@pytest.mark.parametrize("state", ["Completed", "Failed"])
@pytest.mark.parametrize("event", [cancel(3), change(3)], ids=["cancel", "change-address"])
async def test_after_the_end_it_is_too_late(job, durable, buried, state, event):
    await ledger.end(job, None, state)
    await deliver(job, event, durable)
    assert [reason for _, _, reason in buried] == ["TooLate"]
    assert (await order_changes.read(job.id)).sequence == 0


async def test_a_crash_before_the_number_is_recorded_repeats_the_effect(job, durable, buried, monkeypatch):
    async def crash(*_):
        raise OSError("the host is gone")

    for event in (change(1), cancel(2)):
        with monkeypatch.context() as patched, pytest.raises(OSError):
            patched.setattr(order_changes, "enter", crash)
            await deliver(job, event, durable)
    await deliver(job, change(1), durable)
    await deliver(job, cancel(2), durable)
    assert (await order_changes.read(job.id)).sequence == 2
    assert durable.events == [(job.instance_id, "cancel")] * 2


@pytest.mark.parametrize("is_last", [False, True])
async def test_trouble_is_delivered_again_until_the_bus_gives_up(job, durable, buried, monkeypatch, caplog, is_last):
    async def refuse(*_):
        raise Exception("the instance is busy")

    monkeypatch.setattr(durable, "raise_event", refuse)
    with pytest.raises(TransientError):
        await deliver(job, cancel(1), durable, is_last=is_last)
    assert (buried, (await order_changes.read(job.id)).sequence) == ([], 0)
    lines = [json.loads(record.message) for record in caplog.records if "DeadLettered" in record.message]
    said = [(line["reason"], line["errorType"], line["id"], line["attempts"]) for line in lines]
    assert said == ([("MaxDeliveryCountExceeded", "Transient", job.id, 5)] if is_last else [])


@pytest.mark.parametrize("id", ["nobody", "", "a/b", "x" * 200])
async def test_an_unknown_order_is_buried(durable, buried, id):
    delivery = EventDelivery(id, "m-1", attempt=1, is_last=False)
    await order_events.receive(json.dumps(cancel(1)).encode(), delivery, durable)
    assert buried == [("servicebus:order-events", id, "JobNotFound")]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_what_is_no_event_is_refused(body):
    with pytest.raises(NotAJobError):
        order_events.parse(body)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"event": "cancel"},
        {"event": "paint", "sequence": 1},
        {"event": "cancel", "sequence": 0},
        {"event": "cancel", "sequence": 2**53 + 1},
        {"event": "cancel", "sequence": "1"},
        {"event": "cancel", "sequence": 1.0},
        {"event": "cancel", "sequence": True},
        {"event": "cancel", "sequence": 1, "address": "1 High Street"},
        {"event": "change-address", "sequence": 1},
        {"event": "change-address", "sequence": 1, "address": ""},
        {"event": "change-address", "sequence": 1, "address": "a\nb"},
        {"event": "cancel", "sequence": 1, "colour": "red"},
    ],
)
async def test_a_wrong_event_is_refused_without_its_values(fields):
    with pytest.raises(InvalidInputError) as refused:
        order_events.parse(json.dumps(fields).encode())
    assert "High Street" not in str(refused.value)
