"""Alerts: raised once and cleared once, told once by each channel, and told again only where they could not be."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from jobs import alert_channels, alerts, clock
from jobs.alerts import Condition
from jobs.clients import clients
from jobs.entry import written
from jobs.errors import ServiceBusUnavailableError
from jobs.settings import settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_alerts", "world", "storage")]

TO = "operators@nightshift.example"


@pytest.fixture
def condition(bus, monkeypatch) -> Condition:
    """Of a group of its own, with mail."""
    monkeypatch.setenv("ALERT_MAIL_TO", TO)
    settings.cache_clear()
    return Condition(f"g{uuid4().hex[:8]}:thing", "a thing is wrong", {"depth": 3, "isMore": True})


@pytest.fixture
def pass_time(monkeypatch):
    """Let a time pass, in minutes. No time passes by itself, so that nothing depends on the machine's speed."""
    now = [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: now[0])

    def pass_(minutes: float) -> None:
        now[0] += timedelta(minutes=minutes)

    return pass_


async def settle(condition: Condition, *found: Condition, watchers: int = 1) -> None:
    group = condition.key.partition(":")[0]
    await asyncio.gather(*(alerts.settle([group], found) for _ in range(watchers)))


def events(bus) -> list[dict]:
    sent = bus.queues["job-events"].active
    return [json.loads(b"".join(message.body)) for message in sent]


def said(caplog) -> list[str]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "nightshift"]
    return [line["event"] for line in lines if line["event"].startswith("Alert")]


def subjects(sandbox) -> list[str]:
    return [message["subject"] for message in sandbox.mailbox(TO)["messages"]]


async def test_it_is_told_once_and_cleared_once_by_three_watchers_at_once(condition, bus, world, caplog, pass_time):
    for found in ((condition,), (condition,), *[()] * 7):
        await settle(condition, *found, watchers=3)
        pass_time(minutes=1)
    assert said(caplog) == ["Alert", "AlertCleared"]
    assert [event["type"] for event in events(bus)] == ["nightshift.alert.raised", "nightshift.alert.cleared"]
    assert subjects(world) == ["Alert: a thing is wrong", "Cleared: a thing is wrong"]
    raised, cleared = (message["text"] for message in world.mailbox(TO)["messages"])
    assert "depth: 3 or more" in raised and "isMore" not in raised
    assert "Its cause is gone" in cleared and "Its cause is gone" not in raised


async def test_its_event_is_a_cloud_event(condition, bus):
    await settle(condition, condition)
    (event,) = events(bus)
    assert {event[name] for name in ("specversion", "source", "subject")} == {
        "1.0",
        "nightshift/watchdog",
        condition.key,
    }
    assert event["data"]["depth"] == 3
    (message,) = bus.queues["job-events"].active
    assert message.message_id == event["id"] == f"{condition.key}@{event['time']}.raised"


async def test_it_is_cleared_when_its_condition_has_been_gone_for_a_while(condition, caplog, pass_time):
    await settle(condition, condition)
    (alert,) = [alert for alert in await alerts.active() if alert.key == condition.key]
    assert "goneSince" not in alert.to_dict()
    pass_time(minutes=1)
    gone_since = written(clock.now())
    for _ in range(5):
        await settle(condition)
        (alert,) = [alert for alert in await alerts.active() if alert.key == condition.key]
        assert alert.to_dict()["goneSince"] == gone_since
        pass_time(minutes=1)
    assert said(caplog) == ["Alert"]
    # A watch does not begin at the same instant of each minute.
    pass_time(minutes=-0.01)
    await settle(condition)
    assert said(caplog) == ["Alert", "AlertCleared"]
    assert condition.key not in [alert.key for alert in await alerts.active()]


async def test_what_comes_and_goes_is_told_once(condition, bus, caplog, pass_time):
    """A depth around its limit, or what a watch could not look into now and then."""
    for minute in range(12):
        await settle(condition, *([condition] if minute % 4 == 0 else []), watchers=2)
        pass_time(minutes=1)
    assert (said(caplog), len(events(bus))) == (["Alert"], 1)


async def test_what_nobody_looked_into_is_not_gone(condition, caplog, pass_time):
    await settle(condition, condition)
    for _ in range(10):
        await alerts.settle(["another"], [])
        pass_time(minutes=1)
    await settle(condition)
    assert said(caplog) == ["Alert"]


async def test_nobody_changes_it_while_another_tells_it(condition, bus, pass_time, monkeypatch):
    """Else it would be told twice: whoever tells it could not enter that it is told."""

    async def slow(notice):
        await settle(condition)
        await send(notice)

    send = alert_channels._send_event
    with monkeypatch.context() as patched:
        patched.setattr(alert_channels, "_send_event", slow)
        await settle(condition, condition)
    pass_time(minutes=3)
    await settle(condition)
    assert len(events(bus)) == 1


async def test_nobody_raises_it_while_another_tells_that_it_is_cleared(condition, bus, pass_time, monkeypatch):
    """Else the last word might be that it is over."""

    async def slow(notice):
        await settle(condition, condition)
        await send(notice)

    send = alert_channels._send_event
    for _ in range(2):
        await settle(condition, condition)
        await settle(condition)
        pass_time(minutes=5)
        with monkeypatch.context() as patched:
            patched.setattr(alert_channels, "_send_event", slow)
            await settle(condition)
    assert [event["type"].rpartition(".")[2] for event in events(bus)] == ["raised", "cleared"] * 2


async def raise_and_die(condition, monkeypatch) -> None:
    """Raise the alert in a process that ends before it tells of it."""

    async def dies(_):
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(alerts, "_tell", dies)
        with pytest.raises(asyncio.CancelledError):
            await alerts.settle([], [condition])


async def test_a_clock_that_is_put_back_holds_nothing_up(condition, bus, monkeypatch, pass_time):
    await raise_and_die(condition, monkeypatch)
    pass_time(minutes=-60)
    await settle(condition, condition)
    assert len(events(bus)) == 1
    await settle(condition)
    pass_time(minutes=-60)
    await settle(condition)
    assert len(events(bus)) == 2


async def test_it_is_raised_anew_after_it_was_cleared(condition, bus, pass_time):
    for found in ((condition,), (), (), (condition,)):
        await settle(condition, *found)
        pass_time(minutes=5)
    kinds = [event["type"].rpartition(".")[2] for event in events(bus)]
    assert (kinds, len({event["id"] for event in events(bus)})) == (["raised", "cleared", "raised"], 3)


async def test_groups_that_were_not_looked_into_stay(condition):
    await settle(condition, condition)
    await alerts.settle(["another"], [])
    assert condition.key in [alert.key for alert in await alerts.active()]


async def test_what_could_not_be_told_is_told_next_time_and_nothing_else(condition, bus, world, monkeypatch, caplog):
    async def away(_):
        raise ServiceBusUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(alert_channels, "_send_event", away)
        await settle(condition, condition)
        await settle(condition, condition)
    assert (events(bus), subjects(world)) == ([], ["Alert: a thing is wrong"])
    await settle(condition, condition)
    await settle(condition, condition)
    assert [event["type"] for event in events(bus)] == ["nightshift.alert.raised"]
    assert subjects(world) == ["Alert: a thing is wrong"]
    assert said(caplog).count("AlertUntold") == 2


async def test_nobody_hears_of_the_end_before_the_beginning(condition, bus, monkeypatch, pass_time):
    async def away(_):
        raise ServiceBusUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(alert_channels, "_send_event", away)
        for found in ((condition,), (), ()):
            await settle(condition, *found)
            pass_time(minutes=5)
    await settle(condition)
    assert [event["type"] for event in events(bus)] == ["nightshift.alert.raised", "nightshift.alert.cleared"]


async def test_if_its_teller_dies_another_tells_it_later(condition, bus, monkeypatch):
    await raise_and_die(condition, monkeypatch)
    await settle(condition, condition)
    assert events(bus) == [], "it may still be telling"
    monkeypatch.setattr(clock, "now", lambda now=clock.now: now() + timedelta(minutes=3))
    await settle(condition, condition)
    assert len(events(bus)) == 1


@pytest.mark.parametrize(
    "damage", [{"untold": "[["}, {"figures": None}, {"raisedAt": None, "untold": "[1]"}, {"goneSince": "x"}]
)
async def test_a_damaged_row_keeps_nobody_from_being_told(condition, bus, damage):
    await settle(condition, condition)
    bus.queues["job-events"].active.clear()
    table = clients().table("alerts")
    row = dict(await table.get_entity(alerts.PARTITION, condition.key)) | damage
    await table.upsert_entity({name: value for name, value in row.items() if value is not None}, mode="replace")
    other = replace(condition, key=f"{condition.key}2")
    await settle(condition, condition, other)
    assert {event["subject"] for event in events(bus)} == {condition.key, other.key}
    assert {alert.key for alert in await alerts.active()} >= {condition.key, other.key}
