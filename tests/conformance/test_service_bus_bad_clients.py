"""Clients that break the rules: each is told so by the AMQP error that is documented, and nobody else notices."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import logging
import time
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from devhost.servicebus import server as server_module
from devhost.servicebus.amqp import connection as connection_module
from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.encoder import composite, described, encode
from devhost.servicebus.amqp.types import Array, Described, Symbol, Timestamp, UInt, ULong
from devhost.servicebus.message import BATCH_FORMAT
from devhost.servicebus.sections import Section
from tests.amqp_peer import (
    HELLO,
    RECEIVER,
    SENDER,
    Frame,
    RawClient,
    attach,
    begin,
    detach,
    disposition,
    flow,
    frame,
    open_,
    sasl,
    sections,
    transfer,
)
from tests.conformance.service_bus import bodies

pytestmark = pytest.mark.anyio

KINDS = {"brief": {"LockDuration": "PT1S"}, "sessions": {"RequiresSession": True}}
QUEUES = [{"Name": "healthy"}]
TOPICS = [{"Name": "events", "Subscriptions": [{"Name": "all"}]}]
BODY = described(Section.DATA, encode(b"body"))
PLAIN = b"\0RootManageSharedAccessKey\0SAS_KEY_VALUE"
TRUSTED = sasl("PLAIN", PLAIN) + frames.AMQP_HEADER + open_() + begin()
_numbers = itertools.count()


@pytest.fixture(autouse=True)
async def others_are_well(bus, caplog):
    """Another client sends and receives before and after, and the bus does not take the fault for its own."""
    caplog.set_level(logging.INFO, "devhost.servicebus")
    await bus.send("healthy", "before")
    yield
    await bus.send("healthy", "after")
    received = await bus.receive("healthy", 2)
    assert bodies(received) == ["before", "after"]
    await bus.complete("healthy", *received)
    assert not [record for record in caplog.records if record.name == "devhost.servicebus" and record.exc_info]


@pytest.fixture
def connect(bus_process):
    """Opens raw connections, by default one that may do everything; closed with the test."""
    opened = []

    def connect(hello: bytes = TRUSTED) -> RawClient:
        opened.append(RawClient(bus_process.port, hello))
        return opened[-1]

    yield connect
    for client in opened:
        client.socket.close()


def token(audience: str, *, key: str = "SAS_KEY_VALUE", expires_in=3600, name: str = "RootManageSharedAccessKey"):
    resource, expiry = quote(audience, safe=""), int(time.time()) + expires_in
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={resource}&sig={quote(base64.b64encode(digest), safe='')}&se={expiry}&skn={name}"


def request(properties: dict, body: object, message_id: object = "id") -> bytes:
    return (
        composite(Section.PROPERTIES, [encode(message_id)])
        + described(Section.APPLICATION_PROPERTIES, encode(properties))
        + described(Section.VALUE, encode(body))
    )


def ask(client: RawClient, node: str, properties: dict, body: object, message_id: object = "id") -> dict[int, object]:
    """The sections of a node's answer."""
    number = next(_numbers) * 2 + 100
    client.send(attach(f"in{number}", number, RECEIVER, node), flow(number, 5))
    client.send(attach(f"out{number}", number + 1, SENDER, node))
    client.send(transfer(number + 1, number, request(properties, body, message_id)))
    answer = sections(client.receive_until(frames.TRANSFER).payload)
    client.send(detach(number), detach(number + 1))
    return answer


def put_token(client: RawClient, value: object, audience: str = "sb://127.0.0.1/healthy") -> dict:
    properties = {"operation": "put-token", "type": "jwt", "name": audience, "expiration": Timestamp(0)}
    return ask(client, "$cbs", properties, value)[Section.APPLICATION_PROPERTIES]


def refusal(client: RawClient, request: bytes) -> str | None:
    """The condition with which a link is refused."""
    client.send(request)
    attached, detached = client.receive_until(frames.ATTACH), client.receive()
    assert attached.fields[5:7] == [None, None] and detached.code == frames.DETACH
    assert len(detached.fields[2].value) == 3
    return detached.condition


# before there is a connection


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: bus\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", bytes(64)])
async def test_garbage(connect, garbage):
    client = connect(garbage)
    assert client.socket.recv(100) == frames.SASL_HEADER and client.socket.recv(1) == b""


async def test_a_frame_that_is_too_large(connect):
    client = connect()
    client.send(frames.HEADER.pack(2_000_000, 2, 0, 0))
    assert client.receive_all()[-1].condition == "amqp:connection:framing-error"


async def test_garbage_in_the_midst_of_a_connection(connect):
    client = connect()
    client.send(frames.frame(0, b"\x00\x53\x12\xc0\x7f\x0e\xff"))
    assert client.receive_all()[-1].condition == "amqp:decode-error"


async def test_half_a_frame_and_gone(connect):
    connect(HELLO + transfer(0, 0, BODY)[:20]).socket.close()
    connect(frames.SASL_HEADER[:3]).socket.close()


async def test_a_handshake_that_stops(connect, monkeypatch):
    monkeypatch.setattr(connection_module, "HANDSHAKE_TIMEOUT", 0.05)
    for hello in (b"", frames.SASL_HEADER, sasl()):
        assert all(each.code >= frames.SASL_MECHANISMS for each in connect(hello).receive_all())
    assert connect(sasl() + frames.AMQP_HEADER).receive_all()[-1].condition == "amqp:connection:forced"


# credentials


async def test_a_connection_without_a_token_is_closed(connect, monkeypatch):
    monkeypatch.setattr(server_module, "TOKEN_TIMEOUT", 0.05)
    assert connect(HELLO).receive_all()[-1].condition == "amqp:unauthorized-access"
    trusted = connect()
    trusted.send(flow(None, 0, echo=True))
    assert trusted.receive_until(frames.FLOW)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (token("sb://127.0.0.1/healthy", key="guessed"), "connection string"),
        (token("sb://127.0.0.1/healthy", name="Guest"), "connection string"),
        (token("sb://127.0.0.1/healthy", expires_in=-1), "expired"),
        (token("sb://127.0.0.1/other"), "other"),
        (token("sb://127.0.0.1/health"), "health"),
        ("eyJhbGciOi.J9.x", "Entra"),
        ("SharedAccessSignature ", "connection string"),
        ({"no": "text"}, "Entra"),
    ],
)
async def test_wrong_tokens(connect, value, remedy):
    status = put_token(connect(HELLO), value)
    assert status["status-code"] == 401 and remedy in status["status-description"]


async def test_a_link_needs_a_token_for_its_entity(connect):
    client = connect(HELLO)
    assert refusal(client, attach("a", 0, SENDER, "healthy")) == "amqp:unauthorized-access"
    assert put_token(client, token("sb://127.0.0.1/plain-1"), "sb://127.0.0.1/plain-1")["status-code"] == 202
    for handle, entity in enumerate(("healthy", "plain-11", "healthy/$management"), 1):
        assert refusal(client, attach(entity, handle, RECEIVER, entity)) == "amqp:unauthorized-access"
    client.send(attach("b", 9, RECEIVER, "Plain-1/$DeadLetterQueue"))
    assert client.receive_until(frames.ATTACH).fields[5] is not None


async def test_a_wrong_password(connect):
    client = connect(sasl("PLAIN", b"\0RootManageSharedAccessKey\0guessed"))
    assert client.receive_all()[-1].fields[0] == 1


async def test_cbs_knows_one_operation(connect):
    answer = ask(connect(HELLO), "$cbs", {"operation": "delete-token", "name": "x"}, "t", uuid4())
    assert answer[Section.APPLICATION_PROPERTIES]["status-code"] == 400


# links


@pytest.mark.parametrize(
    ("role", "address", "condition"),
    [
        (SENDER, "nowhere", "amqp:not-found"),
        (RECEIVER, "amqps://127.0.0.1/nowhere", "amqp:not-found"),
        (RECEIVER, "nowhere/$DeadLetterQueue", "amqp:not-found"),
        (SENDER, "events/Subscriptions/all", "amqp:not-allowed"),
        (SENDER, "healthy/$DeadLetterQueue", "amqp:not-allowed"),
        (RECEIVER, "events", "amqp:not-allowed"),
        (RECEIVER, "sessions-0", "amqp:not-allowed"),
        (SENDER, None, "amqp:invalid-field"),
        (RECEIVER, 5, "amqp:invalid-field"),
    ],
)
async def test_links_that_cannot_be(connect, role, address, condition):
    assert refusal(connect(), attach("a", 0, role, address)) == condition


async def test_a_session_id_is_a_text(connect):
    filters = {Symbol("com.microsoft:session-filter"): UInt(5)}
    assert refusal(connect(), attach("a", 0, RECEIVER, "sessions-0", filters=filters)) == "amqp:invalid-field"


async def test_there_are_no_transactions(connect):
    coordinator = Described(ULong(0x30), [None])
    assert refusal(connect(), attach("a", 0, SENDER, "x", target=coordinator)) == "amqp:not-implemented"


async def test_a_handle_that_is_not_attached_ends_the_session_only(connect):
    client = connect()
    client.send(transfer(7, 0, BODY))
    assert client.receive_until(frames.END).condition == "amqp:session:unattached-handle"
    client.send(frame(frames.END), begin(), attach("a", 0, SENDER, "healthy"))
    assert client.receive_until(frames.ATTACH).fields[6] is not None


# messages


@pytest.fixture
def send(connect):
    """Sends one payload and gives the disposition."""

    def send(queue: str, payload: bytes, **options: object) -> Frame:
        client = connect()
        client.send(attach("s", 0, SENDER, queue), transfer(0, 0, payload, **options))
        settled = client.receive_until(frames.DISPOSITION)
        assert settled.fields[:4] == [True, 0, 0, True]
        return settled

    return send


AGES = described(Section.ANNOTATIONS, encode({Symbol("x-opt-scheduled-enqueue-time"): ULong(2**64 - 1)})) + BODY
"""Scheduled for a moment that no timestamp has."""
ETERNAL = composite(Section.HEADER, [encode(None), encode(None), encode(ULong(2**32))]) + BODY
"""A time to live that no header has."""


@pytest.mark.parametrize(
    "payload",
    [b"", b"no message", BODY[:-1], composite(Section.PROPERTIES, [encode([])]) + BODY, AGES, ETERNAL],
    ids=["empty", "text", "cut off", "properties", "scheduled", "time to live"],
)
async def test_what_is_no_message(bus, send, payload):
    queue = await bus.queue()
    rejected = send(queue, payload)
    assert rejected.condition == "amqp:decode-error" and len(rejected.fields[4].value[0].value) == 3
    assert await bus.peek(queue) == []


async def test_a_batch_with_one_broken_message_is_not_taken_at_all(bus, send):
    queue = await bus.queue()
    batch = b"".join(described(Section.DATA, encode(message)) for message in (BODY, b"broken", BODY))
    assert send(queue, batch, message_format=BATCH_FORMAT).condition == "amqp:decode-error"
    assert await bus.peek(queue) == []


async def test_a_message_that_is_too_large(bus, connect):
    queue = await bus.queue()
    client = connect()
    client.send(attach("s", 0, SENDER, queue))
    assert client.receive_until(frames.ATTACH).fields[10] == 262_144
    piece = b"x" * 60_000
    client.send(*(transfer(0, 0, piece, more=True) for _ in range(5)), transfer(0, 0, piece))
    client.send(transfer(0, 1, BODY))
    too_large, small = client.receive_until(frames.DISPOSITION), client.receive_until(frames.DISPOSITION)
    assert too_large.condition == "amqp:link:message-size-exceeded" and len(too_large.fields[4].value[0].value) == 3
    assert small.fields[4] == Described(frames.ACCEPTED, [])
    assert bodies(await bus.peek(queue)) == ["body"]


async def test_a_session_queue_takes_nothing_without_a_session(send):
    assert send("sessions-0", BODY).condition == "amqp:not-allowed"


async def test_a_lock_that_is_lost(bus, connect):
    queue = await bus.queue("brief")
    await bus.send(queue, "once more")
    client = connect()
    client.send(attach("r", 0, RECEIVER, queue, rcv=1), flow(0, 1))
    first = client.receive_until(frames.TRANSFER)
    (again,) = await bus.receive(queue)
    client.send(disposition(first.fields[1], frames.ACCEPTED))
    rejected = client.receive_until(frames.DISPOSITION)
    assert rejected.condition == "com.microsoft:message-lock-lost"
    assert rejected.fields[:4] == [False, first.fields[1], first.fields[1], True]
    assert again.delivery_count == 1 and again.lock_token != UUID(bytes_le=first.fields[2])
    await bus.complete(queue, again)


async def test_an_outcome_that_the_bus_does_not_know(bus, connect):
    queue = await bus.queue()
    await bus.send(queue, "in a transaction")
    client = connect()
    client.send(attach("r", 0, RECEIVER, queue, rcv=1), flow(0, 1))
    number = client.receive_until(frames.TRANSFER).fields[1]
    client.send(disposition(number, 0x34, b"transaction"))
    assert client.receive_until(frames.DISPOSITION).condition == "amqp:not-implemented"


# requests


@pytest.mark.parametrize(
    ("operation", "body", "status", "condition"),
    [
        ("com.microsoft:fly", {}, 501, "amqp:not-implemented"),
        ("peek-message", {}, 501, "amqp:not-implemented"),
        ("com.microsoft:peek-message", "no map", 400, "com.microsoft:argument-error"),
        ("com.microsoft:peek-message", {"from-sequence-number": "1"}, 400, "com.microsoft:argument-error"),
        ("com.microsoft:renew-lock", {"lock-tokens": [1]}, 400, "com.microsoft:argument-error"),
        ("com.microsoft:renew-lock", {"lock-tokens": [UUID(int=1)]}, 410, "com.microsoft:message-lock-lost"),
        (
            "com.microsoft:update-disposition",
            {"disposition-status": "eaten", "lock-tokens": [UUID(int=1)]},
            400,
            "com.microsoft:argument-error",
        ),
        ("com.microsoft:schedule-message", {"messages": [{"message": b"no"}]}, 400, "amqp:decode-error"),
        (
            "com.microsoft:cancel-scheduled-message",
            {"sequence-numbers": Array(int, [99])},
            404,
            "com.microsoft:message-not-found",
        ),
        ("com.microsoft:schedule-message", {"messages": [{"message": AGES}]}, 400, "amqp:decode-error"),
        ("com.microsoft:get-session-state", {"session-id": "s"}, 400, "amqp:not-allowed"),
        (
            "com.microsoft:get-message-sessions",
            {"last-updated-time": Timestamp(0), "skip": -1, "top": 5},
            400,
            "com.microsoft:argument-error",
        ),
    ],
)
async def test_requests_that_fail(connect, operation, body, status, condition):
    answer = ask(connect(), "healthy/$management", {"operation": operation}, body, ULong(7))
    properties = answer[Section.APPLICATION_PROPERTIES]
    assert (properties["statusCode"], properties["errorCondition"]) == (status, condition)
    assert answer[Section.PROPERTIES][5] == 7 and properties["statusDescription"]


async def test_a_request_that_nobody_can_be_told_the_answer_of(connect):
    client = connect()
    client.send(attach("s", 0, SENDER, "healthy/$management"), transfer(0, 0, request({}, {})), transfer(0, 1, b"?"))
    first, second = client.receive_until(frames.DISPOSITION), client.receive_until(frames.DISPOSITION)
    assert (first.condition, second.condition) == ("amqp:precondition-failed", "amqp:decode-error")
