"""Pacing: in a burst starts are spread, urgent ones go before, and nobody is refused or begins out of turn."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.core.exceptions import ServiceRequestError

from jobs import (
    cancellation,
    claim_check,
    import_hand_over,
    intake,
    ledger,
    pacing,
    scheduled_messages,
    status,
    stragglers,
)
from jobs.clients import clients
from jobs.intake import BusDelivery
from jobs.job import open_envelope, parse
from jobs.pacing import Pace
from jobs.settings import settings
from jobs.single_activity import Delivery
from tests.orders import order
from tests.unit.jobs.fake_bus import Sender

pytestmark = pytest.mark.anyio

BEGINNING = NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
async def made(storage):
    """Kind and id of the orders of a test, which others shall not find."""
    made = []
    yield made
    for kind, id in made:
        await clients().table("jobs").delete_entity(kind, id)


@pytest.fixture
def burst(bus, durable, time, made, monkeypatch):
    """Submits orders, of which two may begin at once and then one a second."""
    monkeypatch.setenv("AzureWebJobsServiceBus", "Endpoint=sb://127.0.0.1:1;UseDevelopmentEmulator=true;")
    monkeypatch.setenv("ORDERS_AT_ONCE", "2")
    monkeypatch.setenv("ORDERS_PER_SECOND", "1")
    settings.cache_clear()
    yield Burst(bus, durable, made)
    settings.cache_clear()


class Burst:
    def __init__(self, bus, durable, made) -> None:
        self.bus = bus
        self.durable = durable
        self.made = made

    def fields(self, id: str | None = None, **more) -> dict:
        if id is None:
            self.made.append(("order", id := uuid4().hex))
        return {"kind": "order", "id": id, "input": order("c-1"), **more}

    async def submit(self, id: str | None = None, **more) -> str:
        given = self.fields(id, **more)
        await intake.submit(parse(open_envelope(given)), self.durable)
        return given["id"]

    def has_begun(self, id: str) -> bool:
        return f"order-{id}" in self.durable.started

    def waits(self) -> list[float]:
        """How long after noon each message that is held back is due, in seconds."""
        moments = [message.scheduled_enqueue_time_utc for message in self.bus.queues["jobs"].active]
        return [(moment - NOON).total_seconds() for moment in moments]

    async def deliver(self) -> None:
        """Deliver all that is held back."""
        messages = self.bus.queues["jobs"].active[:]
        self.bus.queues["jobs"].active.clear()
        for message in messages:
            delivery = BusDelivery("jobs", message.message_id, 1, is_last=False, enqueued_at=ledger.now())
            await intake.receive_from_bus(b"".join(message.body), delivery, self.durable)


def test_turns(time):
    pace = Pace()

    def turns(count: int) -> list[float]:
        return [(pace.next_turn(3, 2.0) - NOON).total_seconds() for _ in range(count)]

    assert turns(6) == [0, 0, 0, 0.5, 1.0, 1.5]
    time.after(1.5)
    assert turns(1) == [2.0], "all before it have begun by then, and none more"
    time.after(3.0)
    assert turns(3) == [3.0, 3.0, 3.5], "two have come by and by"
    pace.give_back(2.0)
    assert turns(1) == [3.5]
    time.after(86_400)
    assert turns(4) == [86_400, 86_400, 86_400, 86_400.5], "no more than three, however long nobody came"
    time.after(0)
    assert turns(2) == [1.0, 1.5], "a clock that was put back makes nobody wait for the day that is no more"


async def test_turns_are_counted_as_long_as_the_clients_live(burst):
    """A host's are as old as the host; those of the hosts of a test process follow one another on one event loop."""
    ids = [await burst.submit() for _ in range(3)]
    await clients().close()
    clients().service_bus = burst.bus
    ids.append(await burst.submit())
    assert [burst.has_begun(id) for id in ids] == [True, True, False, True]


async def test_what_is_more_than_may_begin_at_once_waits_for_its_turn(burst, time, caplog):
    caplog.set_level("INFO", "nightshift")
    ids = [await burst.submit() for _ in range(5)]
    assert [burst.has_begun(id) for id in ids] == [True, True, False, False, False]
    assert burst.waits() == [1, 2, 3]
    shown = await status.read("order", ids[-1], burst.durable)
    assert (shown["status"], shown["heldUntil"]) == ("Pending", "2026-12-01T12:00:03.000000Z")
    assert "heldUntil" not in await status.read("order", ids[0], burst.durable)
    held = [json.loads(each.message) for each in caplog.records if "JobHeldBack" in each.message]
    assert [(line["id"], line["heldUntil"][17:19]) for line in held] == list(
        zip(ids[2:], ("01", "02", "03"), strict=True)
    )

    # What comes back has had its turn, whatever the clock of the bus.
    await burst.deliver()
    assert all(map(burst.has_begun, ids)) and burst.waits() == []
    time.after(3)
    entry = await ledger.get("order", ids[-1])
    await ledger.begin(entry.job, runner="one")
    shown = await status.read("order", ids[-1], burst.durable)
    assert (shown["waitSeconds"] >= 3, "heldUntil" in shown) == (True, False)


async def test_what_waits_holds_nothing_sensitive(burst):
    for _ in range(3):
        await burst.submit()
    (message,) = burst.bus.queues["jobs"].active
    said = b"".join(message.body)
    assert b"tok_visa" not in said and b"Ada" not in said
    await burst.deliver()
    assert burst.durable.started[f"order-{burst.made[-1][1]}"]["input"]["lines"] == order("c-1")["lines"]


async def test_an_urgent_order_begins_at_once_and_others_wait_for_it(burst):
    for _ in range(3):
        await burst.submit()
    assert burst.has_begun(await burst.submit(priority="urgent"))
    await burst.submit()
    assert burst.waits() == [1, 3]


async def test_all_doors_lead_there_and_that_of_urgent_jobs_past_it(burst):
    for _ in range(2):
        await burst.submit()
    doors = []
    for queue in ("jobs", "jobs-urgent"):
        doors.append(burst.fields())
        delivery = Delivery(queue, uuid4().hex, attempt=1, is_last=False)
        await intake.receive(json.dumps(doors[-1]).encode(), delivery, burst.durable)
    doors.append(burst.fields())
    came = BusDelivery("jobs", uuid4().hex, 1, is_last=False)
    await intake.receive_from_bus(json.dumps(doors[-1]).encode(), came, burst.durable)
    assert [burst.has_begun(each["id"]) for each in doors] == [False, True, False]
    assert burst.waits() == [1, 3]


async def test_a_job_that_is_submitted_again_has_the_turn_that_it_had(burst, time):
    ids = [await burst.submit() for _ in range(3)]
    for _ in range(2):
        await burst.submit(ids[-1])
    assert (burst.has_begun(ids[-1]), burst.waits()) == (False, [1, 1, 1])
    await burst.submit(ids[0])
    await burst.submit()
    assert burst.waits()[-1] == 2, "it has taken no other turn"
    time.after(1)
    await burst.submit(ids[-1])
    await burst.deliver()
    assert (burst.has_begun(ids[-1]), burst.durable.starts) == (True, 4)


async def test_submitted_again_as_urgent_it_waits_no_longer(burst):
    ids = [await burst.submit() for _ in range(3)]
    await burst.submit(ids[-1], priority="urgent")
    assert burst.has_begun(ids[-1])
    await burst.deliver()
    assert burst.durable.starts == 3


async def test_a_crash_before_the_message_is_healed_by_the_next_submission(burst, monkeypatch):
    async def dies(*_):
        raise RuntimeError("the process died")

    ids = [await burst.submit() for _ in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr(pacing, "hold_back", dies)
        given = burst.fields()
        with pytest.raises(RuntimeError):
            await burst.submit(given["id"])
    await burst.submit(given["id"])
    assert (burst.has_begun(given["id"]), burst.waits(), len(ids)) == (False, [1], 2)


async def test_what_cannot_be_accepted_takes_no_turn(burst, monkeypatch):
    async def away(*_):
        raise ServiceRequestError("storage is away")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "submit", away)
        for _ in range(5):
            with pytest.raises(ServiceRequestError):
                await burst.submit()
    burst.made.clear()
    for _ in range(3):
        await burst.submit()
    assert burst.waits() == [1]


async def test_what_was_cancelled_while_it_waited_never_begins(burst):
    ids = [await burst.submit() for _ in range(3)]
    await cancellation.request("order", ids[-1], burst.durable)
    await burst.deliver()
    assert ((await ledger.get("order", ids[-1])).state, burst.has_begun(ids[-1])) == ("Cancelled", False)


async def test_those_that_waited_for_the_same_moment_are_spread_as_well(burst, time):
    ids = [await burst.submit(notBefore="2026-12-01T12:10:00Z") for _ in range(4)]
    ids.append(await burst.submit(notBefore="2026-12-01T12:10:00Z", priority="urgent"))
    time.after(600)
    await burst.deliver()
    assert [burst.has_begun(id) for id in ids] == [True, True, False, False, True]
    assert burst.waits() == [601, 602]
    await burst.deliver()
    assert all(map(burst.has_begun, ids)) and burst.waits() == []


async def test_those_that_are_replayed_at_once_are_spread_as_well_and_imported_ones_are_not(burst, time):
    ids = [await burst.submit() for _ in range(2)]
    time.after(600)
    for number, hand_over in enumerate(("a-replay", "a-replay", "a-replay", import_hand_over.HAND_OVER)):
        ids.append(burst.fields()["id"])
        submitted = parse(open_envelope(burst.fields(ids[-1])))
        await ledger.submit(submitted.ref, submitted.digest)
        await claim_check.write(submitted.claim, submitted.content)
        message = json.dumps({"kind": "order", "id": ids[-1], "handOver": hand_over}).encode()
        delivery = Delivery("jobs", f"m-{number}", attempt=1, is_last=False)
        await intake.receive(message, delivery, burst.durable)
    assert [burst.has_begun(id) for id in ids[2:]] == [True, True, False, True]
    assert burst.waits() == [601]
    shown = await status.read("order", ids[-2], burst.durable)
    assert shown["heldUntil"] == "2026-12-01T12:10:01.000000Z"
    await burst.deliver()
    assert all(map(burst.has_begun, ids)) and burst.waits() == []


async def test_without_the_bus_they_begin_at_once_and_one_finds_out_for_all(burst, time, caplog, monkeypatch):
    tries = []

    async def away(*_):
        tries.append(1)
        await asyncio.sleep(0.02)  # others come meanwhile
        raise OSError("nobody listens")

    with monkeypatch.context() as patched:
        patched.setattr(Sender, "send_messages", away)
        ids = [await burst.submit() for _ in range(3)]
        ids += await asyncio.gather(*(burst.submit() for _ in range(3)))
        ids += [await burst.submit() for _ in range(30)]
        await burst.submit(ids[2])
        assert all(map(burst.has_begun, ids)) and len(tries) == 1
        time.after(pacing.RESPITE.total_seconds())
        ids += await asyncio.gather(*(burst.submit() for _ in range(5)))
    assert all(map(burst.has_begun, ids)) and len(tries) <= 4
    said = [json.loads(each.message)["event"] for each in caplog.records if each.name == "nightshift"]
    assert said == ["PacingSuspended"] * 2
    time.after(2 * pacing.RESPITE.total_seconds())
    for _ in range(3):
        await burst.submit()
    assert burst.waits() == [61], "what began meanwhile does not count"


async def test_a_bus_that_does_not_answer_is_not_waited_for(burst, monkeypatch):
    silence = asyncio.Event()

    async def silent(*_):
        await silence.wait()

    monkeypatch.setattr(Sender, "send_messages", silent)
    monkeypatch.setattr(pacing, "PATIENCE", 0.01)
    ids = [await burst.submit() for _ in range(4)]
    assert all(map(burst.has_begun, ids))
    silence.set()


async def test_an_app_without_a_bus_spreads_nothing(burst, monkeypatch):
    monkeypatch.delenv("AzureWebJobsServiceBus")
    settings.cache_clear()
    ids = [await burst.submit() for _ in range(4)]
    assert all(map(burst.has_begun, ids))


async def test_those_that_come_in_one_moment_have_a_turn_each(burst):
    await asyncio.gather(*(burst.submit() for _ in range(12)))
    assert sorted(burst.waits()) == list(range(1, 11))


async def test_messages_go_together_and_who_waits_no_longer_takes_no_other_along(burst, monkeypatch):
    began, answer, sizes, send = asyncio.Event(), asyncio.Event(), [], Sender.send_messages

    async def slow(sender, messages):
        sizes.append(len(messages))
        began.set()
        await answer.wait()
        await send(sender, messages)

    def start(count: int) -> list[asyncio.Task]:
        return [asyncio.create_task(scheduled_messages.send_with_others(one)) for _ in range(count)]

    monkeypatch.setattr(Sender, "send_messages", slow)
    one = scheduled_messages.message(parse(open_envelope(burst.fields("x"))).ref, b"{}", NOON)
    first, *others = start(3)
    await began.wait()
    first.cancel()
    for _ in range(2):
        others += start(2)
        await asyncio.sleep(0.01)
    answer.set()
    await asyncio.gather(*others)
    assert (first.cancelled(), sizes, burst.waits()) == (True, [3, 4], [0] * 7)


async def test_a_job_that_waits_for_its_turn_does_not_stall(burst, time, monkeypatch):
    """With a turn every ten minutes the sixth waits longer than a job may that nothing holds back."""
    monkeypatch.setenv("ORDERS_PER_SECOND", str(1 / 600))
    settings.cache_clear()
    ids = [await burst.submit() for _ in range(6)]
    entry = await ledger.get("order", ids[-1])
    assert stragglers._may_begin_since(entry) == NOON + timedelta(seconds=2400)
