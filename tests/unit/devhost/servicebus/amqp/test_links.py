"""Sessions and links: credit, windows, deliveries in many frames, and what becomes of them."""

from __future__ import annotations

import pytest

from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.incoming import CREDIT
from devhost.servicebus.amqp.types import Described, Symbol, ULong
from tests.amqp_peer import RECEIVER, SENDER, attach, begin, detach, disposition, flow, frame, open_, sasl, transfer

pytestmark = pytest.mark.anyio
TAG = bytes(range(16))


@pytest.fixture
def sender(peer):
    peer.send(attach("s", 4, SENDER, "q"))
    return peer.endpoint("s")


@pytest.fixture
def receiver(peer):
    peer.send(attach("r", 5, RECEIVER, "q", rcv=1))
    return peer.link("r")


def send(link, payload, is_settled=False, context=None):
    link.take_credit()
    link.transfer(payload, TAG, is_settled, context)


async def test_attach_is_answered_in_full(peer):
    attached, flowed = peer.send(attach("s", 4, SENDER, "amqps://host/Q"))
    source, target = Described(0x28, ["s-here", *[None] * 7]), Described(0x29, ["amqps://host/Q"])
    assert attached.fields == ["s", 4, True, 0, 0, source, target, None, False, None, 100, None, None, {}]
    assert flowed.fields[4:7] == [4, 0, CREDIT] and len(flowed.fields) == 11
    (attached,) = peer.send(attach("r", 5, RECEIVER, "q", snd=1, rcv=1))
    assert attached.fields[2:5] == [False, 1, 1] and attached.fields[9] == 0


async def test_a_refusal_is_an_empty_attach_and_a_detach(peer):
    attached, detached = peer.send(attach("s", 4, SENDER, "never"))
    assert (attached.code, attached.fields[5:7]) == (frames.ATTACH, [None, None])
    assert detached.fields[:2] == [4, True]
    assert detached.fields[2] == Described(0x1D, ["amqp:not-found", "no such thing", {}])
    assert peer.send(transfer(4, 0, b"early"), flow(4, 1), detach(4)) == []


async def test_a_link_may_be_accepted_later(peer):
    assert peer.send(attach("r", 5, RECEIVER, "later", filters={Symbol("f"): None}), flow(5, 3)) == []
    link = peer.link("r")
    assert link.room == 0
    link.accept(peer.endpoint("r"), properties={Symbol("p"): 1}, source=link.source_with_filter(Symbol("f"), "v"))
    (attached,) = await peer.settle()
    assert attached.fields[5].value[7] == {"f": "v"} and len(attached.fields[5].value) == 11
    assert attached.fields[13] == {"p": 1}
    assert link.room == 3


@pytest.mark.parametrize("descriptor", [ULong(0x28), ULong(2**64 - 1), Symbol("amqp:source:list")])
async def test_what_a_filter_set_holds_besides_is_copied_whatever_it_is(peer, descriptor):
    eccentric = Described(ULong(2**63), ULong(2**64 - 1))
    filters = {Symbol("f"): Described(ULong(2**63), None), Symbol("g"): eccentric}
    peer.send(attach("r", 5, RECEIVER, "later", source=Described(descriptor, ["later", *[None] * 6, filters])))
    link = peer.link("r")
    link.accept(peer.endpoint("r"), source=link.source_with_filter(Symbol("f"), "v"))
    (attached,) = await peer.settle()
    assert attached.fields[5].value[7] == {"f": Described(2**63, "v"), "g": eccentric}


async def test_who_waits_for_a_link_may_give_up(peer):
    peer.send(attach("r", 5, RECEIVER, "later"))
    attached, detached = peer.send(detach(5))
    assert (attached.fields[5], detached.fields) == (None, [5, True, None])
    assert peer.endpoint("r").is_detached


async def test_detach_is_answered_once(peer, sender):
    (detached,) = peer.send(detach(4, closed=False))
    assert detached.fields == [4, False, None] and sender.is_detached
    peer.send(attach("s", 4, SENDER, "q"))
    peer.link("s").detach("amqp:link:detach-forced", "over")
    assert (await peer.settle())[0].condition == "amqp:link:detach-forced"
    assert peer.send(detach(4)) == [] and not peer.endpoint("s").is_detached


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (attach("t", 4, SENDER, "q"), "amqp:session:handle-in-use"),
        (transfer(9, 0, b""), "amqp:session:unattached-handle"),
        (detach(9), "amqp:session:unattached-handle"),
        (flow(9, 1), "amqp:session:unattached-handle"),
        (transfer(5, 0, b""), "amqp:not-allowed"),
    ],
)
async def test_faults_end_the_session_only(peer, sender, receiver, data, condition):
    (ended,) = peer.send(data)
    assert (ended.code, ended.condition) == (frames.END, condition)
    assert sender.is_detached and peer.send(frame(frames.END)) == []
    assert [each.code for each in peer.send(begin())] == [frames.BEGIN]


# what a client sends


async def test_a_message_and_its_acceptance(peer, sender):
    peer.send(transfer(4, 7, b"payload", message_format=0x80013700))
    (delivery,) = sender.deliveries
    assert (delivery.payload, delivery.message_format) == (b"payload", 0x80013700)
    delivery.accept()
    (settled,) = await peer.settle()
    assert settled.fields == [True, 7, 7, True, Described(0x24, []), False]


async def test_a_rejection_has_an_error_of_three_fields(peer, sender):
    peer.send(transfer(4, 7, b"payload"))
    sender.deliveries[0].reject("amqp:not-allowed", "x" * 300)
    (settled,) = await peer.settle()
    assert settled.fields[4] == Described(0x25, [Described(0x1D, ["amqp:not-allowed", "x" * 300, {}])])


async def test_a_message_in_many_frames(peer, sender):
    peer.send(transfer(4, 7, b"", more=True), transfer(4, None, b"ab", more=True), transfer(4, 7, b"", more=True))
    assert sender.deliveries == []
    peer.send(transfer(4, None, b"cd"), transfer(4, 8, b"next"))
    assert [delivery.payload for delivery in sender.deliveries] == [b"abcd", b"next"]


async def test_an_aborted_message_never_was(peer, sender):
    peer.send(transfer(4, 7, b"ab", more=True), transfer(4, 7, b"", aborted=True), transfer(4, 8, b"next"))
    assert [delivery.payload for delivery in sender.deliveries] == [b"next"]


@pytest.mark.parametrize("pieces", [[101], [60, 60], [101, 0], [40, 40, 40]])
async def test_a_message_over_the_limit_is_not_kept(peer, sender, pieces):
    *first, last = pieces
    received = peer.send(*(transfer(4, 7, b"x" * size, more=True) for size in first), transfer(4, 7, b"x" * last))
    assert [each.condition for each in received] == ["amqp:link:message-size-exceeded"]
    peer.send(transfer(4, 8, b"x" * 100))
    assert [len(delivery.payload) for delivery in sender.deliveries] == [100]


async def test_settled_messages_are_not_answered(peer, sender):
    peer.send(transfer(4, 7, b"payload", settled=True))
    sender.deliveries[0].reject("amqp:not-allowed", "no")
    assert await peer.settle() == []


async def test_an_answer_that_comes_after_the_link_is_dropped(peer, sender):
    peer.send(transfer(4, 7, b"payload"), detach(4))
    sender.deliveries[0].accept()
    assert await peer.settle() == []


async def test_credit_is_topped_up(peer, sender):
    received = peer.send(*(transfer(4, number, b"") for number in range(CREDIT)))
    flows = [each.fields[5:7] for each in received if each.code == frames.FLOW]
    assert flows and all(credit == CREDIT for _, credit in flows)


async def test_flow_on_a_senders_link_is_taken(peer, sender):
    assert peer.send(flow(4, 10_000)) == []
    assert peer.send(flow(4, 0, echo=True))[0].fields[6] == CREDIT


async def test_a_first_transfer_without_an_id_is_no_delivery(peer, sender):
    assert peer.send(transfer(4, None, b"x"))[-1].condition == "amqp:decode-error"


# what a client receives


async def test_a_message_goes_out_for_credit(peer, receiver):
    peer.send(flow(5, 2))
    send(receiver, b"payload")
    (sent,) = await peer.settle()
    assert sent.fields == [5, 0, TAG, 0, False, False, None, None, False, False, False]
    assert sent.payload == b"payload" and receiver.room == 1
    peer.send(flow(5, 2, count=0))
    assert receiver.room == 1, "one of the two is on its way"
    peer.send(flow(5, 2, count=1))
    assert receiver.room == 2
    peer.send(flow(5, 0, count=1))
    assert receiver.room == 0


async def test_a_large_message_takes_many_frames(new_peer):
    new_peer.send(sasl(), frames.AMQP_HEADER, open_(max_frame_size=512), begin(), attach("r", 5, RECEIVER, "q"))
    new_peer.send(flow(5, 1))
    payload = bytes(range(256)) * 5
    send(new_peer.link("r"), payload)
    received = await new_peer.settle()
    assert b"".join(each.payload for each in received) == payload and len(received) > 2
    assert [each.fields[5] for each in received] == [True] * (len(received) - 1) + [False]
    assert [each.fields[1:3] for each in received[1:]] == [[None, None]] * (len(received) - 1)


async def test_nothing_exceeds_the_clients_window(new_peer):
    hello = sasl() + frames.AMQP_HEADER + open_(max_frame_size=512) + begin(window=2)
    new_peer.send(hello, attach("r", 5, RECEIVER, "q"), flow(5, 10, window=2))
    send(new_peer.link("r"), b"x" * 1500)
    assert len(await new_peer.settle()) == 2 and new_peer.link("r").room == 0
    received = new_peer.send(flow(None, 0, next_incoming_id=2, window=10))
    assert sum(len(each.payload) for each in received) > 500 and received[-1].fields[5] is False
    assert new_peer.link("r").room == 9


async def test_drained_credit_is_given_back(peer, receiver):
    peer.send(flow(5, 5))
    send(receiver, b"one")
    await peer.settle()
    peer.send(flow(5, 5, drain=True))
    assert receiver.is_draining
    receiver.finish_drain()
    (flowed,) = await peer.settle()
    assert flowed.fields[4:7] == [5, 5, 0] and flowed.fields[8] is True
    assert receiver.room == 0


async def test_an_outcome_and_its_echo(peer, receiver):
    peer.send(flow(5, 2))
    send(receiver, b"payload", context="lock")
    peer.send(disposition(0, frames.MODIFIED, True, False))
    ((delivery, outcome, fields),) = peer.endpoint("r").outcomes
    assert (delivery.context, outcome, fields) == ("lock", frames.MODIFIED, [True, False])
    delivery.settle(frames.modified_outcome(True, False))
    (settled,) = await peer.settle()
    assert settled.fields == [False, 0, 0, True, Described(0x27, [True, False, None]), False]


async def test_every_delivery_of_a_range_gets_a_frame(peer, receiver):
    peer.send(flow(5, 5))
    for number in range(4):
        send(receiver, b"payload", context=number)
    await peer.settle()
    peer.send(disposition(1, frames.ACCEPTED, last=4_000_000_000))
    outcomes = peer.endpoint("r").outcomes
    assert [delivery.context for delivery, _, _ in outcomes] == [1, 2, 3]
    for delivery, _, _ in outcomes:
        delivery.settle(frames.ACCEPTED_OUTCOME)
    assert [each.fields[1:3] for each in await peer.settle()] == [[1, 1], [2, 2], [3, 3]]


@pytest.mark.parametrize(
    "data",
    [
        disposition(9, frames.ACCEPTED),
        disposition(0, None),
        disposition(0, frames.RECEIVED, ULong(1), ULong(2)),
        frame(frames.DISPOSITION, False, ULong(0), None, True, Described(ULong(frames.ACCEPTED), [])),
    ],
)
async def test_dispositions_that_say_nothing_about_a_delivery_are_passed_over(peer, receiver, data):
    peer.send(flow(5, 2))
    send(receiver, b"payload")
    await peer.settle()
    assert peer.send(data) == [] and peer.endpoint("r").outcomes == []


async def test_who_settles_is_not_answered(peer, receiver):
    peer.send(flow(5, 2))
    send(receiver, b"one")
    send(receiver, b"two")
    await peer.settle()
    peer.send(disposition(0, frames.RELEASED, settled=True), disposition(1, None, settled=True))
    outcomes = peer.endpoint("r").outcomes
    assert [outcome for _, outcome, _ in outcomes] == [frames.RELEASED] * 2
    outcomes[0][0].settle(frames.RELEASED_OUTCOME)
    assert await peer.settle() == []


async def test_outcomes_after_the_links_end_come_too_late(peer, receiver):
    endpoint = peer.endpoint("r")
    peer.send(flow(5, 2))
    send(receiver, b"payload")
    peer.send(detach(5), disposition(0, frames.ACCEPTED))
    assert endpoint.outcomes == []
    send(receiver, b"to nobody")
    assert await peer.settle() == []


async def test_the_settled_is_forgotten(peer, receiver):
    peer.send(flow(5, 2))
    send(receiver, b"payload", is_settled=True)
    await peer.settle()
    peer.send(disposition(0, frames.ACCEPTED))
    assert peer.endpoint("r").outcomes == []


async def test_echo_is_answered(peer, receiver):
    assert peer.send(flow(5, 3, echo=True))[0].fields[4:7] == [5, 0, 3]
    assert peer.send(flow(None, 0, echo=True))[0].fields[4] is None
