"""Burying: one dead letter for each failure, whatever call the process dies at, and nothing sensitive in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from activities import closing
from jobs import catalog, dead_letters, intake, ledger, letters, mover, relay, stragglers
from jobs.call import outcome
from jobs.errors import LetterNotFoundError, NotAJobError, PermanentError
from jobs.job import Envelope, parse
from jobs.letters import Letter
from jobs.relay import Poison
from jobs.single_activity import Delivery
from tests.orders import order
from tests.unit.jobs.crashes import Act, dies
from tests.unit.jobs.fake_bus import Received, restarted

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

AT_ONCE = timedelta(0)


async def die_everywhere(bus, after: bool, new: Callable[[], Awaitable[tuple[Act, Act]]]) -> int:
    """Do something that dies at its first call, something new that dies at its second, and so on until it has none.

    `new` makes what is done, and what says whether all is well after the next delivery and the watchdog.
    """
    number = 0
    while True:
        number += 1
        act, check = await new()
        bus.crashes.die_at(number, after=after)
        died = await dies(act)
        calls = bus.crashes.calls[-1]
        await restarted(bus)
        await act()
        await stragglers.sweep(AT_ONCE, None)
        await mover.finish_all()
        try:
            await check()
        except Exception as error:
            error.add_note(f"after it died {'after' if after else 'before'} call {number}: {calls}")
            raise
        if not died:
            return number


@pytest.fixture
async def failing(monkeypatch):
    """Every `analytics` job fails for good."""

    async def fail(call):
        raise PermanentError("it never works")

    monkeypatch.setitem(catalog.KINDS, "analytics", replace(catalog.KINDS["analytics"], activity=fail))


@pytest.mark.parametrize("after", [False, True])
async def test_a_message_that_is_no_job_has_one_letter_wherever_the_process_dies(durable, bus, after):
    async def new():
        id = uuid4().hex

        async def receive():
            await intake.receive(b"no job", Delivery("jobs", id, 1, False), durable)

        async def check():
            [letter] = bus.letters(messageId=id)
            assert letter.dead_letter_reason == "NotAJob" and "not JSON" in letter.dead_letter_error_description
            assert await letters.read("poison-jobs", letter).body() == b"no job"

        return receive, check

    assert await die_everywhere(bus, after, new) > 4


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("is_last", [False, True])
async def test_a_single_activity_that_fails_has_one_letter_wherever_the_process_dies(
    durable, bus, failing, after, is_last
):
    async def new():
        id = uuid4().hex
        body = json.dumps({"kind": "analytics", "id": id, "input": {"event": "seen"}}).encode()

        async def receive():
            await intake.receive(body, Delivery("jobs", id, 5 if is_last else 1, is_last), durable)

        async def check():
            await assert_buried_job(bus, "analytics", id, "Permanent")

        return receive, check

    assert await die_everywhere(bus, after, new) > 8


@pytest.mark.parametrize("after", [False, True])
async def test_an_order_that_fails_has_one_letter_wherever_the_process_dies(durable, bus, after):
    async def new():
        entry, call = await undone_order(durable)

        async def end():
            assert await outcome(closing.end, call) == {"ok": None}

        async def check():
            await assert_buried_job(bus, "order", entry.job.id, "OutOfStock")

        return end, check

    assert await die_everywhere(bus, after, new) > 6


@pytest.mark.parametrize("after", [False, True])
async def test_what_the_host_gave_up_has_one_letter_wherever_the_process_dies(durable, bus, after):
    async def new():
        id = uuid4().hex
        body = json.dumps({"kind": "analytics", "id": id, "input": {"event": "seen"}}).encode()
        job = parse(Envelope(kind="analytics", id=id, input={"event": "seen"}), source="storage:jobs")
        entry, _ = await ledger.submit(job.ref, job.digest)
        await ledger.begin(entry.job, runner="killed in its last delivery")

        async def give_up():
            await relay.relay(Poison("jobs", f"poison-{id}", body), durable)

        async def check():
            await assert_buried_job(bus, "analytics", id, "MaxDequeueCountExceeded")

        return give_up, check

    assert await die_everywhere(bus, after, new) > 7


async def undone_order(durable) -> tuple[ledger.Entry, dict]:
    """An order that was undone, and the call of `end_job` for it."""
    job = parse(Envelope(kind="order", id=uuid4().hex, input=order("c-1")))
    entry = (await intake.submit(job, durable)).entry
    run = await ledger.begin(entry.job, runner=entry.job.instance_id)
    arguments = durable.started[entry.job.instance_id]
    error = {"type": "OutOfStock", "message": "none left", "retryable": False}
    input = {"state": "Failed", "run": vars(run), "error": error, "jobInput": arguments["input"]}
    return entry, {"job": arguments["job"], "step": "end_job", "attempt": 1, "input": input}


async def assert_buried_job(bus, kind: str, id: str, reason: str) -> Received:
    [letter] = bus.letters(jobId=id)
    assert letter.dead_letter_reason == reason
    entry = await ledger.get(kind, id)
    assert (entry.state, entry.is_buried) == ("Failed", True)
    body = json.loads(await letters.read("poison-jobs", letter).body())
    assert (body["kind"], body["id"]) == (kind, id) and body["handOver"]
    return letter


async def test_a_letter_says_who_and_why_and_never_what(durable, bus):
    entry, call = await undone_order(durable)
    await outcome(closing.end, call)
    letter = await assert_buried_job(bus, "order", entry.job.id, "OutOfStock")
    shown = letters.read("poison-jobs", letter).to_dict()
    assert shown == {
        "id": f"poison-jobs-{letter.sequence_number}",
        "queue": "poison-jobs",
        "enqueuedAt": shown["enqueuedAt"],
        "source": "http",
        "messageId": f"order-{entry.job.id}@{(await ledger.get('order', entry.job.id)).completed_at}",
        "reason": "OutOfStock",
        "description": "none left",
        "kind": "order",
        "jobId": entry.job.id,
        "correlationId": entry.job.correlation_id,
        "attempts": 1,
        "firstSeen": entry.job.submitted_at,
        "errorType": "OutOfStock",
        "sessionId": None,
        "replyTo": None,
        "replySession": None,
    }
    body = await letters.read("poison-jobs", letter).body()
    for secret in (b"Ada", b"example.com", b"tok_visa", b"James"):
        assert secret not in body and secret not in str(letter).encode()


async def test_many_at_once_are_moved_together(bus):
    many = [Letter("storage:jobs", f"m-{number}", "NotAJob", "no job", body="x") for number in range(250)]
    await asyncio.gather(*(mover.mover().move(letter.to_message(letter.message_id)) for letter in many))
    assert len(bus.letters(reason="NotAJob")) == 250
    assert bus.crashes.calls.count("send") == 3


async def test_a_letter_whose_move_was_not_finished_is_finished_by_the_next(bus):
    await dead_letters.bury_message("storage:jobs", "first", b"1", NotAJobError("no job"))
    queue = bus.queues["poison-jobs"]
    queue.active.append(queue.dead.pop())
    await dead_letters.bury_message("storage:jobs", "second", b"2", NotAJobError("no job"))
    assert [letter.dead_letter_reason for letter in queue.dead] == ["NotAJob"]
    assert await mover.finish_all() == 1
    assert len(bus.letters()) == 2


async def test_a_letter_that_a_killed_mover_holds_is_moved_when_its_lock_has_run_out(bus, monkeypatch):
    monkeypatch.setattr(mover, "PAUSE", 0.01)
    await dead_letters.bury_message("storage:jobs", "first", b"1", NotAJobError("no job"))
    queue = bus.queues["poison-jobs"]
    queue.active.append(queue.dead.pop())
    queue.locked.add(queue.active[0].sequence_number)
    await dead_letters.bury_message("storage:jobs", "first", b"1", NotAJobError("no job"))
    assert queue.dead == []
    bus.let_locks_expire()
    while queue.active:
        await asyncio.sleep(0.01)
    assert len(bus.letters()) == 1


class TestFinding:
    @pytest.fixture
    async def buried(self, bus) -> list[str]:
        """Three letters, their ids."""
        for number in range(3):
            kind = {"kind": "mail" if number else "analytics", "input": 7}
            error = (NotAJobError, PermanentError)[number % 2]("no")
            await dead_letters.bury_message("storage:jobs", f"m-{number}", json.dumps(kind).encode(), error)
        return [f"poison-jobs-{letter.sequence_number}" for letter in bus.letters()]

    async def found(self, **filters) -> list[str]:
        return [each.id async for each in dead_letters.find(**filters)]

    async def test_all_of_them(self, buried):
        assert await self.found() == buried
        assert await self.found(limit=2) == buried[:2]

    async def test_by_what_they_say(self, buried):
        assert await self.found(reason="NotAJob") == [buried[0], buried[2]]
        assert await self.found(kind="mail") == buried[1:]
        assert await self.found(kind="mail", reason="NotAJob") == buried[2:]

    async def test_by_their_age(self, bus, buried):
        bus.letters()[1].enqueued_time_utc -= timedelta(hours=2)
        assert await self.found(older_than=timedelta(hours=1)) == [buried[1]]
        assert await self.found(older_than=timedelta(0)) == buried
        assert await self.found(older_than=timedelta(days=999_999)) == []

    async def test_one(self, buried):
        assert (await dead_letters.get(buried[1])).letter.message_id == "m-1"

    @pytest.mark.parametrize("id", ["poison-jobs-999", "poison-jobs-0", "cake-1", "poison-jobs-x", "", "-", "1"])
    async def test_one_that_is_not_there(self, buried, id):
        with pytest.raises(LetterNotFoundError):
            await dead_letters.get(id)


async def test_a_page_is_not_all_there_is(bus, monkeypatch):
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    for number in range(5):
        await dead_letters.bury_message("storage:jobs", f"m-{number}", b"", NotAJobError("no"))
    assert len([each async for each in dead_letters.find()]) == 5
