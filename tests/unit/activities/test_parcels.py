"""The steps of a shipment against storage and the sandbox: booked once, told once, whatever dies in between."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from activities import parcels as steps
from activities.mail import MailRefusedError, MailServerUnavailableError
from jobs import clock, intake, job_message, ledger, parcels
from jobs.call import Call
from jobs.clients import clients
from jobs.errors import JobConflictError, SettingMissingError
from jobs.job import Envelope, parse
from jobs.settings import settings
from jobs.single_activity import Delivery
from tests.orders import order
from tests.unit.activities.calls import claimed
from tests.unit.jobs.crashes import dies

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


@pytest.fixture(autouse=True)
async def carrier(storage, world, monkeypatch):
    """The sandbox is the carrier, and no message of another test is in the queue."""
    monkeypatch.setenv("CARRIER_URL", world.url)
    settings.cache_clear()
    await clients().queue("jobs").clear_messages()
    return world


async def starting() -> Call:
    id = uuid4().hex
    return await claimed("start_shipment", order(id), {}, id)


async def queued() -> list[bytes]:
    return [message.content.encode() async for message in clients().queue("jobs").receive_messages()]


async def deliver(bodies: list[bytes], durable) -> None:
    for number, body in enumerate(bodies):
        await intake.receive(body, Delivery("jobs", f"m-{number}", 1, False), durable)


async def watching(world, durable) -> tuple[Call, str]:
    """A call for the shipment of a parcel whose job has begun."""
    number = world.book_parcel(uuid4().hex)
    input = {"parcel": number, "order": "A-1", "email": f"{number.lower()}@example.com"}
    job = parse(Envelope(kind="shipment", id=number, input=input))
    ref = (await intake.submit(job, durable)).entry.job
    await ledger.begin(ref, runner=ref.instance_id)
    return Call(ref, "look_up_parcel", {"parcel": number, "look": 1}), number


def mailed(world, number: str) -> list[str]:
    return [mail["subject"] for mail in world.mailbox(f"{number.lower()}@example.com")["messages"]]


async def test_a_shipment_is_started_through_ledger_and_queue(carrier, durable):
    call = await starting()
    started = await steps.start(call)
    (message,) = await queued()
    assert "@example.com" not in message.decode()
    assert job_message.read(message, "m-1", None).input == {"parcel": started["parcel"], "order": call.job.id}
    await deliver([message], durable)
    (arguments,) = durable.started.values()
    assert arguments["input"] == {"parcel": started["parcel"], "order": call.job.id}
    assert "@example.com" not in json.dumps(arguments)
    entry = await ledger.get("shipment", started["parcel"])
    assert (entry.job.source, entry.job.correlation_id) == (f"job:order/{call.job.id}", call.job.correlation_id)


async def test_wherever_it_dies_one_parcel_is_booked_and_one_instance_watches_it(carrier, durable, crashes):
    last = 0
    for at in range(1, 20):
        for after in (False, True):
            call = await starting()
            crashes.die_at(at, after=after)
            died = await dies(lambda call=call: steps.start(call))
            crashes.restart()
            started = await steps.start(call)
            # Once more, as by a redelivery; and at another door.
            assert await steps.start(call) == started
            await deliver(await queued(), durable)
            (booked,) = carrier.parcels(f"order-{call.job.id}")["parcels"]
            assert booked["id"] == started["parcel"]
            assert f"shipment-{booked['id']}" in durable.started
            last = at if died else last
        if not died:
            break
    assert last >= 4
    # One for each order, however often it was started.
    assert durable.starts == len(durable.started) == len(carrier.parcels()["parcels"])


async def test_who_asks_with_another_address_is_refused(carrier, durable):
    call = await starting()
    number = (await steps.start(call))["parcel"]
    input = {"parcel": number, "order": call.job.id, "email": "mallory@example.com"}
    with pytest.raises(JobConflictError):
        await intake.submit(parse(Envelope(kind="shipment", id=number, input=input)), durable)


@pytest.mark.parametrize("first", [1, 2])
async def test_a_look_enters_what_it_finds_and_what_the_job_waits_for(carrier, durable, first):
    """Also the second, when the first was lost."""
    call, number = await watching(carrier, durable)
    call = replace(call, input={**call.input, "look": first})
    found = await steps.look_up(call)
    assert (found["newest"]["state"], found["isOver"], found["outage"], found["wake"]) == (
        "announced",
        False,
        False,
        f"news.{first}",
    )
    assert (found["first"], found["longest"]) == (900.0, 43_200.0)
    assert [change["sequence"] for change in found["untold"]] == [1]
    entry = await ledger.get("shipment", number)
    assert entry.waiting_for == "carrier"
    assert entry.overdue_at > ledger.written(clock.now())
    row = await parcels.read(number)
    assert (row.instance, row.wake, row.newest.state) == (f"shipment-{number}", f"news.{first}", "announced")
    # Repeated, as after a crash, it finds the same.
    assert await steps.look_up(call) == found


@pytest.mark.parametrize("fault", ["error", "throttle", "drop_before", "drop_after", "rubbish", "decline"])
async def test_an_outage_is_no_news(carrier, durable, fault):
    call, number = await watching(carrier, durable)
    await steps.look_up(call)
    carrier.move_parcel(number, "collected")
    carrier.fault({"when": {"operation": "track"}, "fault": fault})
    away = await steps.look_up(Call(call.job, call.step, {"parcel": number, "look": 2}))
    assert (away["outage"], away["newest"]["sequence"], away["wake"]) == (True, 1, "news.2")
    carrier.clear_faults()
    back = await steps.look_up(Call(call.job, call.step, {"parcel": number, "look": 3}))
    assert (back["outage"], back["newest"]["sequence"]) == (False, 2)


async def test_without_its_setting_a_look_fails_for_good(carrier, durable, monkeypatch):
    call, _ = await watching(carrier, durable)
    monkeypatch.delenv("CARRIER_URL")
    settings.cache_clear()
    with pytest.raises(SettingMissingError, match="CARRIER_URL"):
        await steps.look_up(call)


async def test_each_change_is_told_once_also_by_another_run(carrier, durable):
    call, number = await watching(carrier, durable)
    (change,) = (await steps.look_up(call))["untold"]
    telling = Call(call.job, "mail_parcel_news", change)
    for _ in range(2):
        await steps.tell_customer(telling)
    assert mailed(carrier, number) == ["Your order A-1: parcel announced"]
    assert carrier.mailbox(f"{number.lower()}@example.com")["duplicates"] == 1
    assert (await steps.look_up(call))["untold"] == []


async def test_a_mail_that_can_never_be_sent_is_not_tried_again(carrier, durable):
    call, number = await watching(carrier, durable)
    (change,) = (await steps.look_up(call))["untold"]
    telling = Call(call.job, "mail_parcel_news", change)
    recipient = {"operation": "mail", "recipient": f"{number.lower()}@example.com"}
    carrier.fault({"when": recipient, "fault": "error", "times": 1})
    carrier.fault({"when": recipient, "fault": "decline", "times": 1})
    with pytest.raises(MailServerUnavailableError):
        await steps.tell_customer(telling)
    assert len((await steps.look_up(call))["untold"]) == 1
    with pytest.raises(MailRefusedError):
        await steps.tell_customer(telling)
    assert (await steps.look_up(call))["untold"] == []
