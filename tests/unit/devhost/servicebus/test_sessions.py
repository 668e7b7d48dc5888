"""Sessions: who gets which, order, locks, states."""

from __future__ import annotations

import pytest

from devhost.servicebus.errors import (
    EntityNotFoundError,
    MessageNotFoundError,
    NotAllowedError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)
from devhost.servicebus.sessions import SessionLock
from tests.unit.devhost.servicebus.workbench import MINUTE, START, Bench, Receiver, make, text_of


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.create(requires_session=True, max_delivery_count=2)
    return bench


def send(bench: Bench, *pairs: str) -> None:
    """Each `session:text`."""
    for pair in pairs:
        session_id, _, text = pair.partition(":")
        bench.send(make(text, session_id=session_id))


def accept(bench: Bench, session_id: str | None = None, credit: int = 0) -> Receiver:
    receiver = bench.accept(session_id, credit=credit)
    assert receiver is not None
    return receiver


def more(bench: Bench, receiver: Receiver, credit: int = 1) -> list[str]:
    before = len(receiver.deliveries)
    receiver.credit = credit
    bench.broker.queue("q").wake(receiver)
    receiver.credit = 0
    return receiver.texts[before:]


def test_a_session_is_received_in_order_and_alone(bench: Bench) -> None:
    send(bench, "x:1", "y:1", "x:2", "y:2")
    receiver = accept(bench, "x", credit=10)
    assert receiver.session.session_id == "x"
    assert receiver.session.locked_until == START + MINUTE
    assert receiver.texts == ["1", "2"]
    send(bench, "y:3", "x:3")
    assert receiver.texts == ["1", "2", "3"]
    assert all(delivery.locked_until == START + MINUTE for delivery in receiver.deliveries)


def test_an_abandoned_message_comes_before_what_follows_it(bench: Bench) -> None:
    send(bench, "x:1", "x:2", "x:3")
    receiver = accept(bench, "x", credit=2)
    bench.broker.queue("q").abandon(receiver.deliveries[0].token)
    assert more(bench, receiver, 2) == ["1", "3"]


def test_the_next_session_is_the_one_that_waits_longest(bench: Bench) -> None:
    send(bench, "x:1", "y:1", ":1", "x:2")
    found = [accept(bench) for _ in range(3)]
    assert [receiver.session.session_id for receiver in found] == ["x", "y", ""]
    assert bench.accept() is None


def test_waiting_requests_are_served_in_their_order(bench: Bench) -> None:
    queue = bench.broker.queue("q")
    granted: list[tuple[str, str]] = []

    def ask(name: str):
        return queue.request_session(None, lambda lock: granted.append((name, lock.session_id)))

    ask("first")
    ask("second").cancel()
    ask("third")
    send(bench, "x:1", "x:2", "y:1")
    assert granted == [("first", "x"), ("third", "y")]


def test_a_named_session_needs_no_messages_but_to_be_free(bench: Bench) -> None:
    receiver = accept(bench, "x", credit=1)
    with pytest.raises(SessionCannotBeLockedError):
        bench.accept("x")
    send(bench, "x:1")
    assert receiver.texts == ["1"]
    bench.broker.queue("q").release_session(receiver.session)
    assert accept(bench, "x").session.is_held


def test_a_released_session_comes_again_uncounted(bench: Bench) -> None:
    send(bench, "x:1", "x:2")
    queue = bench.broker.queue("q")
    for _ in range(5):
        receiver = accept(bench, credit=2)
        assert [delivery.delivery_count for delivery in receiver.deliveries] == [0, 0]
        queue.detach(receiver)
        queue.release_session(receiver.session)
        queue.release_session(receiver.session)
    with pytest.raises(SessionLockLostError):
        queue.complete(receiver.deliveries[0].token)


def test_a_lock_that_expires_is_lost_and_counts_what_was_locked(bench: Bench) -> None:
    send(bench, "x:1", "x:2")
    queue = bench.broker.queue("q")
    receiver = accept(bench, "x", credit=1)
    waiting: list[SessionLock] = []
    queue.request_session(None, waiting.append)
    bench.advance(MINUTE)
    bench.broker.run_due()
    assert isinstance(receiver.error, SessionLockLostError)
    assert not receiver.session.is_held
    for operation in (queue.renew_session, queue.get_session_state):
        with pytest.raises(SessionLockLostError):
            operation("y")
    again = bench.listen(credit=2, session=waiting[0])
    assert [(text_of(each), each.delivery_count) for each in again.deliveries] == [("1", 1), ("2", 0)]
    with pytest.raises(SessionLockLostError):
        queue.complete(receiver.deliveries[0].token)
    with pytest.raises(SessionLockLostError):
        queue.attach(Receiver(session=receiver.session))
    bench.advance(MINUTE)
    assert bench.texts("q/$DeadLetterQueue") == ["1"]
    assert bench.texts() == ["2"]


def test_renewal_is_for_the_whole_session(bench: Bench) -> None:
    send(bench, "x:1")
    queue = bench.broker.queue("q")
    receiver = accept(bench, "x", credit=1)
    bench.advance(MINUTE - 1)
    assert queue.renew_session("x") == START + 2 * MINUTE - 1
    bench.advance(MINUTE - 1)
    with pytest.raises(NotAllowedError, match="session"):
        queue.renew(receiver.deliveries[0].token)
    queue.complete(receiver.deliveries[0].token)
    assert receiver.error is None


def test_a_state_outlives_the_messages(bench: Bench) -> None:
    queue = bench.broker.queue("q")
    receiver = accept(bench, "x")
    assert queue.get_session_state("x") is None
    queue.set_session_state("x", b"half done")
    queue.release_session(receiver.session)
    with pytest.raises(SessionLockLostError):
        queue.set_session_state("x", b"")
    accept(bench, "x")
    assert queue.get_session_state("x") == b"half done"
    queue.set_session_state("x", None)
    assert queue.get_session_state("x") is None


def test_session_ids_of_messages_and_states(bench: Bench) -> None:
    send(bench, "b:1", "a:1", ":1")
    queue = bench.broker.queue("q")
    accept(bench, "z")
    assert queue.session_ids() == ["", "a", "b"]
    bench.advance(10)
    queue.set_session_state("z", b"1")
    assert queue.session_ids(None, 1, 2) == ["a", "b"]
    assert queue.session_ids(None, 3, 2) == ["z"]
    assert queue.session_ids(START + 10) == ["z"]
    assert queue.session_ids(START + 11) == []


def test_session_and_plain_receivers_do_not_mix(bench: Bench) -> None:
    bench.create("plain")
    with pytest.raises(NotAllowedError, match="requires sessions"):
        bench.listen()
    with pytest.raises(NotAllowedError, match="no sessions"):
        bench.broker.queue("plain").request_session(None, print)
    with pytest.raises(NotAllowedError):
        bench.listen(path="plain", session=accept(bench, "x").session)
    with pytest.raises(NotAllowedError, match="session id"):
        bench.send(make("1", session_id="x"), "no session")
    assert bench.texts() == []


def test_dead_letters_of_sessions_are_received_without(bench: Bench) -> None:
    send(bench, "x:1")
    receiver = accept(bench, "x", credit=1)
    bench.broker.queue("q").dead_letter(receiver.deliveries[0].token, "Bad")
    assert bench.take("q/$DeadLetterQueue").message.session_id == "x"


def test_peeking_and_deferred_messages_of_one_session(bench: Bench) -> None:
    send(bench, "x:1", "y:1", "x:2")
    queue = bench.broker.queue("q")
    receiver = accept(bench, "x", credit=1)
    queue.defer(receiver.deliveries[0].token)
    assert [(text_of(each), int(each.state)) for each in queue.peek(0, 9, "x")] == [("1", 1), ("2", 0)]
    assert queue.peek(0, 9, "nobody") == []
    with pytest.raises(MessageNotFoundError):
        queue.receive_deferred([1], False, "y")
    (deferred,) = queue.receive_deferred([1], False, "x")
    assert deferred.locked_until == receiver.session.locked_until
    queue.release_session(receiver.session)
    with pytest.raises(SessionLockLostError):
        queue.receive_deferred([1], False, "x")


def test_those_who_wait_or_hold_are_told_of_the_end(bench: Bench) -> None:
    errors: list[Exception] = []
    holder = accept(bench, "x")
    bench.broker.queue("q").request_session(None, print, errors.append)
    bench.broker.delete_queue("q")
    assert isinstance(holder.error, EntityNotFoundError)
    assert isinstance(errors[0], EntityNotFoundError)
