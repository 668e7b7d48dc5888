"""Replay: what failed runs once more and once only, whatever call the process dies at, and twice at most."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from jobs import catalog, dead_letters, intake, ledger, letters, relay, replay, uploads
from jobs.bodies import BodyMissingError
from jobs.catalog import Kind
from jobs.clients import clients
from jobs.errors import LetterBusyError, LetterNotFoundError, NotAJobError, PermanentError, ReplayRefusedError
from jobs.inputs import AnalyticsInput
from jobs.intake import BusDelivery
from jobs.job import Envelope, parse
from jobs.relay import Poison
from jobs.single_activity import Delivery
from tests.orders import order
from tests.unit.jobs.crashes import dies
from tests.unit.jobs.fake_bus import FakeBus, restarted

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


class World:
    """Jobs of the kind `analytics`, which fail until it is mended; how often each was done since."""

    def __init__(self, bus: FakeBus, durable, monkeypatch) -> None:
        self.bus = bus
        self.durable = durable
        self.is_mended = False
        self.done: Counter[str] = Counter()
        monkeypatch.setitem(catalog.KINDS, "analytics", replace(catalog.KINDS["analytics"], activity=self._work))

    async def _work(self, call):
        if not self.is_mended:
            raise PermanentError("it does not work")
        self.done[call.job.id] += 1

    async def receive(self, body: bytes, message_id: str | None = None, queue: str = "jobs") -> None:
        await intake.receive(body, Delivery(queue, message_id or uuid4().hex, 1, False), self.durable)

    async def receive_all(self) -> None:
        """What the host does with all that is in the queues."""
        for received in list(self.bus.queues["jobs"].active):
            self.bus.queues["jobs"].active.remove(received)
            delivery = BusDelivery("jobs", received.message_id, 1, is_last=False, reply_to=received.reply_to)
            await intake.receive_from_bus(b"".join(received.body), delivery, self.durable)
        for name in ("jobs", "jobs-urgent"):
            queue = clients().queue(name)
            async for message in queue.receive_messages(messages_per_page=32):
                await self.receive(message.content.encode(), message.id, name)
                await queue.delete_message(message)

    def letter_of(self, id: str) -> str:
        [letter] = self.bus.letters(jobId=id)
        return f"poison-jobs-{letter.sequence_number}"


@pytest.fixture
async def world(bus, durable, monkeypatch) -> World:
    for name in ("jobs", "jobs-urgent"):
        await clients().queue(name).clear_messages()
    return World(bus, durable, monkeypatch)


async def put_back(*ids: str) -> list[replay.Outcome]:
    return [outcome async for outcome in replay.replay(ids)]


async def die_everywhere(world: World, after: bool, fail, check) -> int:
    """Replay what dies at the first call, then another that dies at the second, and so on until one has no more.

    `fail` makes a dead letter and returns the job's id; `check` says whether all is well after the replay's resumption.
    """
    number = 0
    while True:
        number += 1
        world.is_mended = False
        id = await fail()
        letter = world.letter_of(id)
        world.is_mended = True
        world.bus.crashes.die_at(number, after=after)
        died = await dies(lambda letter=letter: put_back(letter))
        calls = world.bus.crashes.calls[-1]
        await restarted(world.bus)
        try:
            # Either it had come to its end, or it goes on.
            [outcome] = await put_back(letter)
            assert outcome.error is None or isinstance(outcome.error, LetterNotFoundError), outcome
            await world.receive_all()
            assert world.bus.letters(jobId=id) == []
            await check(id)
        except Exception as error:
            error.add_note(f"after it died {'after' if after else 'before'} call {number}: {calls}")
            raise
        if not died:
            return number


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("is_known", [True, False])
async def test_an_activity_is_done_once_wherever_the_replay_dies(world, after, is_known):
    """Its job has failed, or its message was no job yet when it came."""

    async def fail():
        id = uuid4().hex
        fields = {"kind": "analytics", "id": id, "input": {"event": "seen"}}
        if is_known:
            await world.receive(json.dumps(fields).encode())
        else:
            await dead_letters.bury_message("storage:jobs", id, json.dumps(fields).encode(), NotAJobError("not yet"))
        return id

    async def check(id):
        assert world.done[id] == 1
        assert (await ledger.get("analytics", id)).state == "Completed"

    assert await die_everywhere(world, after, fail, check) > 6


@pytest.mark.parametrize("after", [False, True])
async def test_a_message_without_an_id_is_one_job_wherever_the_replay_dies(world, after):
    """It stands for a kind that came with a later version of the app."""
    count = 0

    async def fail():
        nonlocal count
        count = sum(world.done.values())
        message_id = uuid4().hex
        body = b'{"kind": "analytics", "input": {"event": "seen"}}'
        await relay.relay(Poison("jobs-urgent", message_id, body), world.durable)
        [letter] = world.bus.letters(messageId=message_id)
        letter.application_properties[b"jobId"] = message_id.encode()  # so that it can be looked for
        return message_id

    async def check(id):
        assert sum(world.done.values()) == count + 1

    assert await die_everywhere(world, after, fail, check) > 6


@pytest.mark.parametrize("after", [False, True])
async def test_a_message_of_the_bus_is_one_job_wherever_the_replay_dies(world, after):
    async def fail():
        id = uuid4().hex
        body = json.dumps({"kind": "analytics", "input": {"event": "seen"}}).encode()
        await dead_letters.bury_message("servicebus:jobs", id, body, NotAJobError("not yet"), reply_to="replies")
        [letter] = world.bus.letters(messageId=id)
        letter.application_properties[b"jobId"] = id.encode()
        return id

    async def check(id):
        assert world.done[id] == 1
        assert (await ledger.get("analytics", id)).job.reply_to == "replies"

    assert await die_everywhere(world, after, fail, check) > 6


async def undone(world: World, error: dict | None = None) -> str:
    """An order that was undone and buried; its id."""
    job = parse(Envelope(kind="order", id=uuid4().hex, input=order("c-1")))
    entry = (await intake.submit(job, world.durable)).entry
    await intake.keep_whole(job, entry)
    failure = {"type": "OutOfStock", "message": "none left", "retryable": False} | (error or {})
    await ledger.end(entry.job, None, "Failed", error=failure)
    await dead_letters.bury_job(await ledger.get("order", job.id))
    return job.id


@pytest.mark.parametrize("after", [False, True])
async def test_an_order_runs_once_more_wherever_the_replay_dies(world, after):
    async def fail():
        return await undone(world)

    async def check(id):
        assert [name for name in world.durable.started if id in name] == [f"order-{id}", f"order-{id}~2"]
        entry = await ledger.get("order", id)
        assert (entry.state, entry.job.run, entry.error) == ("Pending", 2, None)

    assert await die_everywhere(world, after, fail, check) > 6


async def test_a_job_is_replayed_twice_at_most(world):
    id = uuid4().hex
    await world.receive(json.dumps({"kind": "analytics", "id": id, "input": {"event": "seen"}}).encode())
    for _ in range(2):
        [outcome] = await put_back(world.letter_of(id))
        assert (outcome.where, outcome.error) == ("storage:jobs", None)
        await world.receive_all()
    [outcome] = await put_back(world.letter_of(id))
    assert isinstance(outcome.error, ReplayRefusedError)
    assert (await ledger.get("analytics", id)).state == "Failed"
    assert world.letter_of(id), "it is still there"


async def test_a_message_is_replayed_twice_at_most_though_its_id_is_new_each_time(world):
    body = b'{"kind": "cake", "input": {}}'
    await world.receive(body)
    for _ in range(2):
        [letter] = world.bus.letters(reason="UnknownKind")
        [outcome] = await put_back(f"poison-jobs-{letter.sequence_number}")
        assert outcome.error is None
        await world.receive_all()
    [letter] = world.bus.letters(reason="UnknownKind")
    [outcome] = await put_back(f"poison-jobs-{letter.sequence_number}")
    assert isinstance(outcome.error, ReplayRefusedError)


async def test_what_could_not_be_undone_is_not_run_again(world):
    id = await undone(world, {"openCompensations": ["refund_payment"]})
    [outcome] = await put_back(world.letter_of(id))
    assert isinstance(outcome.error, ReplayRefusedError) and "refund_payment" in str(outcome.error)
    assert (await ledger.get("order", id)).state == "Failed"


async def test_what_does_not_fit_is_told_letter_by_letter(world):
    id = await undone(world)
    outcomes = await put_back("cake-1", world.letter_of(id), "poison-jobs-99999")
    assert {outcome.id: type(outcome.error) for outcome in outcomes} == {
        "cake-1": LetterNotFoundError,
        "poison-jobs-99999": LetterNotFoundError,
        outcomes[1].id: type(None),
    }
    assert [outcome.to_dict()["done"] for outcome in outcomes] == [False, True, False]


async def test_a_letter_that_somebody_else_holds_is_there_all_the_same(world):
    letter = world.letter_of(await undone(world))
    world.bus.queues["poison-jobs"].locked.add(int(letter.rpartition("-")[2]))
    [outcome] = await put_back(letter)
    assert isinstance(outcome.error, LetterBusyError)


async def test_those_in_front_of_it_are_let_go_of(world, monkeypatch):
    monkeypatch.setattr(replay, "MOST_AT_ONCE", 2)
    ids = [await undone(world) for _ in range(5)]
    [outcome] = await put_back(world.letter_of(ids[3]))
    assert outcome.error is None
    assert world.bus.queues["poison-jobs"].locked == set()
    assert len(world.bus.letters()) == 4


async def test_a_letter_whose_body_is_gone_is_not_replayed(world):
    await world.receive(b"no job", "m-1")
    [letter] = world.bus.letters()
    await clients().container("dead-letters").delete_blob(letter.application_properties[b"body"].decode())
    [outcome] = await put_back(f"poison-jobs-{letter.sequence_number}")
    assert isinstance(outcome.error, BodyMissingError)


async def test_a_job_that_cannot_be_started_again_stays_failed(world):
    id = await undone(world)
    await clients().container("dead-letters").delete_blob(f"jobs/order/{id}.json")
    [outcome] = await put_back(world.letter_of(id))
    assert isinstance(outcome.error, BodyMissingError)
    assert (await ledger.get("order", id)).state == "Failed"


async def test_a_message_from_before_the_replay_does_not_end_the_job(world):
    """Its relay could not bury the job, which somebody else did."""
    id = uuid4().hex
    stale = json.dumps({"kind": "analytics", "id": id, "input": {"event": "seen"}}).encode()
    await world.receive(stale)
    [outcome] = await put_back(world.letter_of(id))
    assert outcome.error is None
    for hand_over in (None, "replay", "of-the-first-run"):
        body = json.loads(stale) | ({"handOver": hand_over} if hand_over else {})
        await relay.relay(Poison("jobs", uuid4().hex, json.dumps(body).encode()), world.durable)
    assert (await ledger.get("analytics", id)).state == "Pending"
    [own] = await clients().queue("jobs").peek_messages()
    await relay.relay(Poison("jobs", uuid4().hex, own.content.encode()), world.durable)
    assert (await ledger.get("analytics", id)).state == "Failed", "its own message was given up"


async def test_what_is_discarded_is_gone_with_its_body(world):
    await world.receive(b"no job", "m-1")
    [letter] = world.bus.letters()
    dead = letters.read("poison-jobs", letter)
    [outcome] = [each async for each in replay.discard([dead.id])]
    assert (outcome.error, outcome.where, world.bus.letters()) == (None, None, [])
    with pytest.raises(BodyMissingError):
        await dead.body()


async def poisoned(world, container: str, name: str, encode=str.encode, etag: str = '"0x1"') -> str:
    """The dead letter of a blob whose function failed every time."""
    about = json.dumps({"ContainerName": container, "BlobName": name, "ETag": etag})
    for _ in range(2):
        await relay.relay_blob(Poison("webjobs-blobtrigger", uuid4().hex, encode(about)))
    [letter] = world.bus.letters(source=f"blob:{container}/{name}")
    return f"poison-jobs-{letter.sequence_number}"


@pytest.mark.parametrize("encode", [str.encode, lambda text: base64.b64encode(text.encode())])
@pytest.mark.parametrize(("container", "kind"), [("photos", "photo"), ("order-imports", "order-import")])
async def test_a_blob_becomes_the_job_that_its_trigger_would_have_made(world, encode, container, kind):
    blob = clients().container(container).get_blob_client(f"2026/é {uuid4().hex}")
    uploaded = await blob.upload_blob(b"content", metadata={"owner": "shop"})
    [outcome] = await put_back(await poisoned(world, container, blob.blob_name, encode, uploaded["etag"]))
    assert (outcome.where, world.bus.letters(source=f"blob:{container}/{blob.blob_name}")) == ("storage:jobs", [])
    assert (await blob.get_blob_properties()).etag == uploaded["etag"]
    await world.receive_all()
    await uploads.take(container, blob.blob_name, world.durable)
    [started] = world.durable.started.values()
    assert (world.durable.starts, started["job"]["kind"]) == (1, kind)
    assert started["input"] == {"name": blob.blob_name, "etag": uploaded["etag"]}


async def test_of_a_blob_that_was_replaced_the_new_version_is_the_job(world):
    blob = clients().container("photos").get_blob_client(uuid4().hex)
    letter = await poisoned(world, "photos", blob.blob_name, etag='"0x1"')
    uploaded = await blob.upload_blob(b"newer")
    await put_back(letter)
    await world.receive_all()
    [started] = world.durable.started.values()
    assert started["input"]["etag"] == uploaded["etag"]


@pytest.mark.parametrize(("container", "said"), [("photos", "is gone: upload"), ("claims", "photos and order")])
async def test_a_blob_that_can_be_no_job_is_not_replayed(world, container, said):
    id = await poisoned(world, container, uuid4().hex)
    for _ in range(3):
        [outcome] = await put_back(id)
        assert isinstance(outcome.error, ReplayRefusedError) and said in str(outcome.error)
    await world.receive_all()
    assert world.durable.starts == 0


async def test_a_native_dead_letter_goes_back_with_what_its_message_said(world):
    async with world.bus.get_queue_sender("order-events") as sender:
        await sender.send_messages(letters.Letter("x", "m-1", "x", "x", body="x").to_message("m-1"))
    queue = world.bus.queues["order-events"]
    dead = queue.active.pop()
    dead.session_id, dead.correlation_id, dead.reply_to = "A-1", "trace-1", "replies"
    dead.body = [b'{"event": "cancel", "sequence": 1}']
    dead.dead_letter_reason = "MaxDeliveryCountExceeded"
    queue.dead.append(dead)
    [found] = [each async for each in dead_letters.find(reason="MaxDeliveryCountExceeded")]
    assert (found.letter.kind, found.letter.job_id, found.letter.source) == ("order", "A-1", "servicebus:order-events")
    [outcome] = await put_back(found.id)
    assert outcome.where == "servicebus:order-events"
    [sent] = queue.active
    assert b"".join(sent.body) == b'{"event": "cancel", "sequence": 1}'
    assert (sent.session_id, sent.correlation_id, sent.reply_to) == ("A-1", "trace-1", "replies")
    assert queue.dead == []


async def test_a_rate_keeps_them_apart(world, monkeypatch):
    naps = []

    async def sleep(seconds):
        naps.append(seconds)

    ids = [world.letter_of(await undone(world)) for _ in range(3)]
    monkeypatch.setattr("jobs.replay.asyncio.sleep", sleep)
    outcomes = [each async for each in replay.replay(ids, rate=0.5)]
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert len([nap for nap in naps if nap > 1]) == 2, "between the first and the second, the second and the third"


async def test_a_job_of_a_kind_that_is_gone_is_refused(world, monkeypatch):
    kind = Kind("task", "", AnalyticsInput, timedelta(seconds=1), activity=world._work)
    with monkeypatch.context() as patched:
        patched.setitem(catalog.KINDS, "task", kind)
        id = uuid4().hex
        await world.receive(json.dumps({"kind": "task", "id": id, "input": {"event": "seen"}}).encode())
    [outcome] = await put_back(world.letter_of(id))
    assert outcome.error.type == "UnknownKind"
