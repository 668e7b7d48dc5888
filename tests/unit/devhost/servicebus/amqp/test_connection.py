"""A connection: from the first byte to the last, with peers that do as they should and others."""

from __future__ import annotations

import asyncio
import logging

import pytest

from devhost.servicebus.amqp import connection as connection_module
from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.errors import AmqpError
from devhost.servicebus.amqp.types import UInt
from tests.amqp_peer import HELLO, RECEIVER, SENDER, attach, begin, detach, flow, frame, open_, sasl

pytestmark = pytest.mark.anyio
CLOSE = frame(frames.CLOSE)


def codes(received):
    return [each.code for each in received]


async def test_the_handshake(new_peer):
    assert codes(new_peer.send(frames.SASL_HEADER)) == [frames.SASL_MECHANISMS]
    (outcome,) = new_peer.send(sasl()[8:])
    assert (outcome.code, outcome.fields) == (frames.SASL_OUTCOME, [0, None])
    (opened,) = new_peer.send(frames.AMQP_HEADER, open_())
    assert opened.fields[:5] == ["test", None, 1_048_576, 255, 240_000] and len(opened.fields) == 10
    (begun,) = new_peer.send(begin(channel=3))
    assert (begun.channel, begun.fields) == (3, [3, 0, 2_147_483_647, 2_147_483_647, 4_294_967_295, None, None, None])
    assert new_peer.container.events == ["connected", "opened"]


async def test_the_server_writes_headers_before_anything_else(new_peer):
    new_peer.connection.get_buffer(-1)[:8] = frames.SASL_HEADER
    new_peer.connection.buffer_updated(8)
    assert new_peer.transport.writes[0].startswith(frames.SASL_HEADER)


async def test_bytes_may_come_one_by_one(new_peer):
    received = [each for byte in HELLO for each in new_peer.send(bytes((byte,)))]
    expected = [frames.SASL_MECHANISMS, frames.SASL_OUTCOME, frames.OPEN, frames.BEGIN]
    assert codes(received) == expected


async def test_what_comes_together_is_answered_together(new_peer):
    buffer = new_peer.connection.get_buffer(-1)
    buffer[: len(HELLO)] = HELLO
    new_peer.connection.buffer_updated(len(HELLO))
    assert len(new_peer.transport.writes) == 1


async def test_writes_of_one_loop_turn_are_one(peer):
    peer.connection.write(frames.EMPTY_FRAME)
    peer.connection.write(frames.EMPTY_FRAME)
    assert peer.transport.writes == []
    await asyncio.sleep(0)
    assert peer.transport.writes == [frames.EMPTY_FRAME * 2]


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"AMQP\x00\x00\x09\x01", b"AMQP\x00\x01\x00\x00", b"\0" * 9],
)
async def test_another_protocol_is_told_what_this_one_is(new_peer, garbage):
    new_peer.connection.get_buffer(-1)[: len(garbage)] = garbage
    new_peer.connection.buffer_updated(len(garbage))
    assert b"".join(new_peer.transport.writes) == frames.SASL_HEADER
    assert new_peer.transport.is_half_closed


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (sasl("GSSAPI"), 1),
        (sasl("PLAIN", b"\0me\0wrong"), 1),
        (sasl("PLAIN", b"me"), 1),
        (sasl("PLAIN", b"\0me\0secret"), 0),
        (sasl("MSSBCBS"), 0),
    ],
)
async def test_sasl(new_peer, hello, code):
    received = new_peer.send(hello)
    assert received[-1].fields[0] == code
    assert new_peer.transport.is_half_closed == bool(code)


async def test_sasl_takes_nothing_but_an_init(new_peer):
    new_peer.send(frames.SASL_HEADER, frame(frames.SASL_RESPONSE, b"x", kind=frames.SASL_FRAME))
    assert new_peer.transport.is_half_closed


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (frames.HEADER.pack(1_048_577, 2, 0, 0), "amqp:connection:framing-error"),
        (frames.HEADER.pack(7, 2, 0, 0), "amqp:connection:framing-error"),
        (frames.HEADER.pack(8, 1, 0, 0), "amqp:connection:framing-error"),
        (frames.HEADER.pack(8, 3, 0, 0), "amqp:connection:framing-error"),
        (frames.HEADER.pack(8, 2, 1, 0), "amqp:connection:framing-error"),
        (frames.HEADER.pack(12, 2, 0, 0) + b"what", "amqp:decode-error"),
        (frames.frame(0, b"\x00\x53\x10\xc0\x05\x09\x40"), "amqp:decode-error"),
        (frame(0x99), "amqp:decode-error"),
        (frame(frames.BEGIN, channel=1), "amqp:decode-error"),
        (begin(), "amqp:illegal-state"),
        (begin(channel=256), "amqp:connection:framing-error"),
        (open_(), "amqp:illegal-state"),
        (detach(0) + frame(frames.FLOW, channel=9), "amqp:illegal-state"),
        (frame(frames.END, channel=9), "amqp:illegal-state"),
        (frame(frames.ATTACH, "name"), "amqp:decode-error"),
        (attach("a", 0, SENDER, "q", snd=9), "amqp:decode-error"),
        (frame(frames.FLOW, None, "much"), "amqp:decode-error"),
        (frame(frames.DISPOSITION, True), "amqp:decode-error"),
        (frame(frames.BEGIN, None, 2**32, UInt(1), UInt(1), channel=1), "amqp:decode-error"),
        (frame(frames.BEGIN, None, -1, UInt(1), UInt(1), channel=1), "amqp:decode-error"),
        (attach("a", 0, SENDER, "q") + frame(frames.TRANSFER, UInt(0), 2**32), "amqp:decode-error"),
        (attach("a", 0, RECEIVER, "q") + frame(frames.FLOW, *[UInt(0)] * 6, 2**32), "amqp:decode-error"),
    ],
)
async def test_faults_end_the_connection_with_their_condition(peer, data, condition, caplog):
    caplog.set_level(logging.INFO, "devhost.servicebus")
    received = peer.send(data)
    assert received[-1].code == frames.CLOSE and received[-1].condition == condition
    assert peer.transport.is_half_closed
    assert not [record for record in caplog.records if record.exc_info]
    assert peer.send(HELLO) == []


@pytest.mark.parametrize(
    ("hello", "condition"),
    [
        (begin(), "amqp:illegal-state"),
        (open_(max_frame_size=511), "amqp:invalid-field"),
        (open_(container_id=5), "amqp:invalid-field"),
    ],
)
async def test_a_connection_that_is_not_opened_well_is_opened_and_closed(new_peer, hello, condition):
    received = new_peer.send(sasl(), frames.AMQP_HEADER, hello)
    assert codes(received[-2:]) == [frames.OPEN, frames.CLOSE] and received[-1].condition == condition


async def test_close_is_answered(peer):
    assert peer.send(CLOSE)[0].fields == [None]
    assert peer.transport.is_half_closed


async def test_who_does_not_go_after_a_close_is_dropped(peer, monkeypatch):
    monkeypatch.setattr(connection_module, "LINGER", 0.01)
    peer.connection.close(AmqpError("amqp:connection:forced", "bye"))
    assert peer.receive()[0].condition == "amqp:connection:forced"
    await asyncio.sleep(0.05)
    assert peer.transport.is_closed


async def test_a_handshake_has_its_time(monkeypatch, caplog):
    from tests.unit.devhost.servicebus.amqp.conftest import Peer

    monkeypatch.setattr(connection_module, "HANDSHAKE_TIMEOUT", 0.01)
    silent, slow = Peer(), Peer()
    slow.send(sasl(), frames.AMQP_HEADER)
    await asyncio.sleep(0.05)
    assert silent.transport.is_half_closed and silent.transport.writes == []
    assert slow.receive()[-1].condition == "amqp:connection:forced"


async def test_who_asks_for_signs_of_life_gets_them(new_peer):
    new_peer.send(sasl(), frames.AMQP_HEADER, open_(idle_timeout=100))
    await asyncio.sleep(0.12)
    assert b"".join(new_peer.transport.writes).startswith(frames.EMPTY_FRAME)
    new_peer.connection.connection_lost(None)


async def test_signs_of_life_are_taken(peer):
    assert peer.send(frames.EMPTY_FRAME) == []


async def test_a_lost_socket_ends_all_links(peer):
    peer.send(attach("a", 0, SENDER, "q"), attach("b", 1, RECEIVER, "later"))
    peer.connection.connection_lost(None)
    assert peer.endpoint("a").is_detached and peer.endpoint("b").is_detached
    assert peer.container.events[-1] == "disconnected"
    peer.link("b").accept(peer.endpoint("b"))
    assert await peer.settle() == []


async def test_a_fault_of_the_server_is_its_own(peer, caplog):
    received = peer.send(attach("a", 0, SENDER, "fault"))
    assert received[-1].condition == "amqp:internal-error"
    assert "a fault of the bus" in caplog.text


async def test_sessions_end_and_late_frames_are_passed_over(peer):
    peer.send(attach("a", 0, RECEIVER, "q"))
    (ended,) = peer.send(frame(frames.END))
    assert (ended.code, ended.fields) == (frames.END, [None])
    assert peer.endpoint("a").is_detached
    assert peer.send(detach(0), flow(0, 5), frame(frames.END)) == []
    assert codes(peer.send(begin())) == [frames.BEGIN]


async def test_nothing_goes_out_while_the_socket_is_full(peer):
    peer.send(attach("a", 0, RECEIVER, "q"), flow(0, 5))
    assert peer.link("a").room == 5
    peer.connection.pause_writing()
    assert peer.link("a").room == 0
    before = peer.endpoint("a").credits
    peer.connection.resume_writing()
    assert peer.link("a").room == 5 and peer.endpoint("a").credits > before


async def test_frames_with_more_header_are_read(peer):
    body = frame(frames.FLOW, None, UInt(9), UInt(0), UInt(9), None, None, None, None, False, True)[8:]
    assert codes(peer.send(frames.HEADER.pack(12 + len(body), 3, 0, 0), b"more", body)) == [frames.FLOW]


async def test_nothing_is_written_to_a_socket_that_is_gone(peer):
    written = len(peer.transport.writes)
    peer.transport.abort()
    peer.send(attach("a", 0, SENDER, "q"))
    assert len(peer.transport.writes) == written
