"""The intake of the Service Bus queue: a job is entered and handed on once, and what is none is buried at once."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from jobs import dead_letters, intake, ledger, status
from jobs.clients import clients
from jobs.errors import TransientError
from jobs.intake import BusDelivery
from jobs.job_message import default_id
from tests.orders import order

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

MOMENT = "2026-11-22T10:00:00.000000Z"


@pytest.fixture
def buried(monkeypatch) -> list[tuple]:
    """What was buried: source, message id, reason and attempts of each."""
    letters = []

    async def bury(source, message_id, body, error, *, attempts, **_):
        letters.append((source, message_id, error.type, attempts))

    monkeypatch.setattr(dead_letters, "bury_message", bury)
    return letters


@pytest.fixture
async def queued() -> list[dict]:
    """Call it for the messages in the storage queue, which it empties."""
    queue = clients().queue("jobs")
    await queue.clear_messages()

    async def take() -> list[dict]:
        found = [json.loads(message.content) async for message in queue.receive_messages()]
        await queue.clear_messages()
        return found

    return take


def delivery(message_id: str | None = None, **said) -> BusDelivery:
    known = {"attempt": 1, "is_last": False, "enqueued_at": MOMENT}
    return BusDelivery("jobs", message_id or uuid4().hex, **known | said)


def content(input=None, kind: str = "order", **fields) -> bytes:
    return json.dumps({"kind": kind, "input": order("c-1") if input is None else input, **fields}).encode()


async def test_an_order_is_entered_and_started(durable, buried):
    received = delivery(correlation_id="trace-1", reply_to="replies")
    for _ in range(2):
        await intake.receive_from_bus(content(), received, durable)
    entry = await ledger.get("order", received.message_id)
    assert (entry.job.source, entry.job.reply_to, entry.job.correlation_id) == ("servicebus:jobs", "replies", "trace-1")
    assert entry.job.submitted_at == MOMENT
    assert (durable.starts, buried) == (1, [])
    shown = await status.read("order", received.message_id, durable)
    assert (shown["replyTo"], shown["correlationId"]) == ("replies", "trace-1")


async def test_a_single_activity_goes_to_the_storage_queue(durable, buried, queued):
    received = delivery()
    await intake.receive_from_bus(content({"event": "seen"}, "analytics"), received, durable)
    (message,) = await queued()
    assert (message["kind"], message["id"], bool(message["handOver"])) == ("analytics", received.message_id, True)
    assert (await ledger.get("analytics", received.message_id)).state == "Pending"


async def test_the_body_goes_before_the_envelope(durable, buried):
    id = uuid4().hex
    said = content(id=id, correlationId="from-body", enqueuedAt="2026-01-01T00:00:00Z")
    await intake.receive_from_bus(said, delivery(correlation_id="from-envelope"), durable)
    job = (await ledger.get("order", id)).job
    assert (job.correlation_id, job.submitted_at[:10]) == ("from-body", "2026-01-01")


@pytest.mark.parametrize("correlation_id", ["{guid}", "a b", "x" * 129, ""])
async def test_what_is_no_correlation_id_is_not_taken(durable, buried, correlation_id):
    received = delivery(correlation_id=correlation_id)
    await intake.receive_from_bus(content(), received, durable)
    assert (await ledger.get("order", received.message_id)).job.correlation_id != correlation_id
    assert buried == []


@pytest.mark.parametrize(
    ("body", "said", "reason"),
    [
        (b"no job", {}, "NotAJob"),
        (b"", {}, "NotAJob"),
        (b"[]", {}, "NotAJob"),
        (b"eyJraW5kIjogIm9yZGVyIn0=", {}, "NotAJob"),
        (content(kind="cake"), {}, "UnknownKind"),
        (content({}), {}, "InvalidInput"),
        (content(id="a b"), {}, "InvalidInput"),
        (content(replyTo="no queue"), {}, "InvalidInput"),
        (content(replyTo="jobs"), {}, "InvalidInput"),
        (content(), {"reply_to": "no queue"}, "InvalidInput"),
    ],
)
async def test_what_is_no_job_is_buried_at_once(durable, buried, body, said, reason):
    received = delivery(attempt=2, **said)
    await intake.receive_from_bus(body, received, durable)
    assert buried == [("servicebus:jobs", received.message_id, reason, 2)]
    assert durable.starts == 0


async def test_an_id_that_is_taken_is_buried(durable, buried):
    received = delivery()
    await intake.receive_from_bus(content(), received, durable)
    await intake.receive_from_bus(content(order("c-2")), received, durable)
    assert [reason for _, _, reason, _ in buried] == ["JobConflict"]


async def test_an_activity_that_is_handed_over_goes_to_where_all_of_them_do(durable, buried, queued):
    received = delivery()
    await intake.receive_from_bus(content({"event": "seen"}, "analytics"), received, durable)
    await queued()
    said = content({"event": "seen"}, "analytics", id=received.message_id, handOver="replay")
    await intake.receive_from_bus(said, delivery(), durable)
    assert (await queued(), buried) == ([json.loads(said)], [])


async def test_a_hand_over_of_a_job_that_nobody_knows_is_buried(durable, buried):
    await intake.receive_from_bus(content({}, "analytics", id="nobody", handOver="x"), delivery(), durable)
    assert [reason for _, _, reason, _ in buried] == ["NotAJob"]


async def test_what_cannot_be_started_now_is_delivered_again(durable, buried, monkeypatch):
    async def refuse(*_):
        raise Exception("no hub")

    received = delivery()
    with monkeypatch.context() as patched, pytest.raises(TransientError):
        patched.setattr(durable, "start_new", refuse)
        await intake.receive_from_bus(content(), received, durable)
    assert (await ledger.get("order", received.message_id)).state == "Pending"
    await intake.receive_from_bus(content(), received, durable)
    assert (durable.starts, buried) == (1, [])


async def test_a_message_that_the_bus_gives_up_is_logged_without_what_it_holds(durable, buried, monkeypatch, caplog):
    async def away(*_):
        raise ConnectionError("no route to Ada Lovelace")

    received = delivery(is_last=True, attempt=5)
    monkeypatch.setattr(ledger, "submit", away)
    with pytest.raises(ConnectionError):
        await intake.receive_from_bus(content(id="J-1"), received, durable)
    (line,) = (json.loads(record.message) for record in caplog.records if "DeadLettered" in record.message)
    assert line == {
        "event": "DeadLettered",
        "reason": "MaxDeliveryCountExceeded",
        "source": "servicebus:jobs",
        "messageId": received.message_id,
        "kind": "order",
        "id": "J-1",
        "attempts": 5,
        "errorType": "ConnectionError",
        "description": "see the host's log",
    }


async def test_a_message_id_that_no_job_can_have_stands_for_one_that_it_can(durable, buried):
    for _ in range(2):
        await intake.receive_from_bus(content(), delivery("{a b}"), durable)
    assert (durable.starts, list(durable.started)) == (1, [f"order-{default_id('{a b}')}"])
