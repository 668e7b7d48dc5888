"""The broker against a small model of it: whatever is done in whatever order, both know the same of every message."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devhost.servicebus.errors import (
    MessageLockLostError,
    MessageNotFoundError,
    NotAllowedError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)
from devhost.servicebus.sqlite_store import SqliteStore
from tests.unit.devhost.servicebus.broker_model import Item, Model
from tests.unit.devhost.servicebus.workbench import START, Bench, Receiver, make, text_of

PATHS = {"queue": "q", "dead": "q/$DeadLetterQueue"}
SESSIONS = ("", "x")
SETTLEMENTS = ("complete", "abandon", "abandon", "defer", "defer", "release", "dead_letter")
LOCK = 1_000
PAUSES = (1, 400, 400, 700, LOCK, 2_500)

messages = st.tuples(
    st.sampled_from(["m1", "m1", "m1", "m2"]),
    st.sampled_from([None, 300, 300, 1_500]),
    st.sampled_from(SESSIONS),
    st.sampled_from([None, None, -5, 700]),
)


class BrokerMachine(RuleBasedStateMachine):
    """Does the same to both, and compares."""

    @initialize(
        has_sessions=st.booleans(),
        has_window=st.sampled_from([False, False, True]),
        dead_letters_expired=st.booleans(),
        maximum=st.integers(1, 3),
    )
    def begin(self, has_sessions: bool, has_window: bool, dead_letters_expired: bool, maximum: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="broker-model-"))
        window = 1_200 if has_window else None
        self.model = Model(LOCK, maximum, window, dead_letters_expired, has_sessions, now=START)
        self.bench = Bench(self.open_store())
        self.bench.create(
            lock_duration=LOCK,
            max_delivery_count=maximum,
            requires_session=has_sessions,
            requires_duplicate_detection=has_window,
            duplicate_detection_window=window or 1_000,
            dead_letter_on_expiration=dead_letters_expired,
        )
        self.commit()
        self.texts = 0
        self.locks: list[tuple[Item, UUID, str]] = []
        """Every lock that was ever given, with the place where it was."""
        self.current: dict[int, UUID] = {}
        """By a message's identity the last of its locks."""
        self.receivers: dict[str, Receiver] = {}

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.broker.close()
            shutil.rmtree(self.folder)

    def open_store(self) -> SqliteStore:
        self.store = SqliteStore(self.folder / "bus.sqlite3")
        return self.store

    def queue(self, place: str = "queue"):
        return self.bench.broker.queue(PATHS[place])

    def commit(self) -> None:
        done = []
        self.bench.broker.when_committed(lambda: done.append(True))
        assert done

    def given(self, item: Item, delivery, place: str) -> None:
        """A delivery must show what the model knows."""
        assert text_of(delivery) == item.text
        assert (delivery.sequence_number, delivery.delivery_count) == (item.number, item.count)
        assert delivery.token is not None
        self.model.lock(item)
        assert delivery.locked_until == item.locked_until
        self.locks.append((item, delivery.token, place))
        self.current[id(item)] = delivery.token

    def is_good(self, item: Item, token: UUID, place: str) -> bool:
        return item.place == place and item.locked_until is not None and self.current[id(item)] == token

    def lost(self, place: str) -> type[ServiceBusError]:
        return SessionLockLostError if self.model.has_sessions and place == "queue" else MessageLockLostError

    @contextmanager
    def refused(self, error: type[ServiceBusError], is_refused: bool):
        if is_refused:
            with pytest.raises(error):
                yield
        else:
            yield

    # --- sending ----------------------------------------------------------------------------------------------------

    @rule(batch=st.lists(messages, min_size=1, max_size=3), is_scheduling=st.booleans())
    def send(self, batch, is_scheduling: bool) -> None:
        sent, numbers = [], []
        for message_id, ttl, session, delay in batch:
            self.texts += 1
            text = f"t{self.texts}"
            session_id = session if self.model.has_sessions else None
            due = None if delay is None else self.model.now + delay
            sent.append(make(text, ttl=ttl, at=due, message_id=message_id, session_id=session_id))
            numbers.append(self.model.send(text, message_id, ttl, session_id, due))
        if is_scheduling:
            assert self.bench.broker.target("q").schedule(sent) == numbers
        else:
            self.bench.send(*sent)
        self.commit()

    @rule(pick=st.integers(0, 50))
    def cancel(self, pick: int) -> None:
        item = self.pick(pick)
        number = item.number if item else 99
        is_waiting = item is not None and item.place == "queue" and item.state == "scheduled"
        with self.refused(MessageNotFoundError, not is_waiting):
            self.bench.broker.target("q").cancel([number])
        if is_waiting:
            item.place = "gone"
        self.commit()

    def pick(self, number: int) -> Item | None:
        return self.model.items[number % len(self.model.items)] if self.model.items else None

    # --- receiving --------------------------------------------------------------------------------------------------

    @rule(
        place=st.sampled_from(["queue", "queue", "queue", "dead"]),
        count=st.integers(1, 3),
        settles=st.sampled_from([False, False, True]),
        then=st.sampled_from([None, *SETTLEMENTS]),
    )
    def receive(self, place: str, count: int, settles: bool, then: str | None) -> None:
        if place == "queue" and self.model.has_sessions:
            with pytest.raises(NotAllowedError):
                self.bench.listen(path=PATHS[place])
            return
        expected = self.model.available(place)[:count]
        deliveries = self.bench.receive(count, PATHS[place], settles=settles)
        self.check(expected, deliveries, place, settles)
        if then is not None and deliveries and not settles:
            self.settle(0, then)

    def check(self, expected: list[Item], deliveries, place: str, settles: bool) -> None:
        assert [text_of(delivery) for delivery in deliveries] == [item.text for item in expected]
        for item, delivery in zip(expected, deliveries, strict=True):
            if settles:
                assert delivery.token is None
                item.place = "gone"
            else:
                self.given(item, delivery, place)
        self.commit()

    @precondition(lambda self: not self.model.has_sessions and not self.model.available("queue"))
    @rule(count=st.integers(1, 2))
    def wait_for_messages(self, count: int) -> None:
        receiver = self.bench.listen(credit=count)
        assert receiver.deliveries == []
        self.send([("late", None, "", None)] * 2, False)
        self.queue().detach(receiver)
        self.check(self.model.available("queue")[:count], receiver.deliveries, "queue", False)

    @rule(pick=st.integers(0, 50), settles=st.booleans())
    def receive_deferred(self, pick: int, settles: bool) -> None:
        item = self.pick(pick)
        number = item.number if item else 99
        is_there = item is not None and item.place == "queue" and item.state == "deferred"
        is_there = is_there and not self.model.is_locked(item)
        is_mine = is_there and (
            not self.model.has_sessions or self.model.session(item.session).locked_until is not None
        )
        error = SessionLockLostError if is_there else MessageNotFoundError
        deliveries = []
        with self.refused(error, not is_mine):
            deliveries = self.queue().receive_deferred([number], settles)
        if is_mine:
            self.check([item], deliveries, "queue", settles)

    # --- settling ---------------------------------------------------------------------------------------------------

    def pick_lock(self, back: int) -> tuple[Item, UUID, str]:
        """Mostly one that holds, sometimes one that does not any more."""
        good = [lock for lock in self.locks if self.is_good(*lock)]
        locks = good if good and back < 4 else self.locks
        return locks[max(len(locks) - 1 - back, 0)]

    @precondition(lambda self: self.locks)
    @rule(back=st.integers(0, 6), how=st.sampled_from(SETTLEMENTS))
    def settle(self, back: int, how: str) -> None:
        item, token, place = self.pick_lock(back)
        queue = self.queue(place)
        if how == "dead_letter" and place == "dead":
            with pytest.raises(NotAllowedError):
                queue.dead_letter(token, "Bad")
            return
        is_good = self.is_good(item, token, place)
        arguments = ("Bad",) if how == "dead_letter" else ()
        with self.refused(self.lost(place), not is_good):
            getattr(queue, how)(token, *arguments)
        if is_good:
            self.model.settle(item, how)
        self.commit()

    @precondition(lambda self: self.locks)
    @rule(back=st.integers(0, 4))
    def renew(self, back: int) -> None:
        item, token, place = self.pick_lock(back)
        if self.model.has_sessions and place == "queue":
            with pytest.raises(NotAllowedError):
                self.queue(place).renew(token)
            return
        is_good = self.is_good(item, token, place)
        with self.refused(MessageLockLostError, not is_good):
            assert self.queue(place).renew(token) == self.model.now + LOCK
        if is_good:
            item.locked_until = self.model.now + LOCK

    # --- sessions ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.has_sessions)
    @rule(session_id=st.sampled_from([*SESSIONS, None]))
    def accept(self, session_id: str | None) -> None:
        if session_id is None:
            wanted = self.model.available_sessions()
            receiver = self.bench.accept(None)
            assert (receiver is not None) == bool(wanted)
            if receiver is None:
                return
            session_id = receiver.session.session_id
            assert session_id in wanted
        else:
            is_held = self.model.session(session_id).locked_until is not None
            receiver = None
            with self.refused(SessionCannotBeLockedError, is_held):
                receiver = self.bench.accept(session_id)
            if receiver is None:
                return
        assert receiver.session.locked_until == self.model.now + LOCK
        session = self.model.session(session_id)
        session.locked_until = self.model.now + LOCK
        assert self.queue().get_session_state(session_id) == session.state
        self.receivers[session_id] = receiver

    @precondition(lambda self: self.model.has_sessions)
    @rule(session_id=st.sampled_from(SESSIONS), count=st.integers(1, 2), settles=st.booleans())
    def receive_in_session(self, session_id: str, count: int, settles: bool) -> None:
        if session_id not in self.receivers:
            self.accept(session_id)
        receiver = self.receivers[session_id]
        expected = self.model.available("queue", session_id)[:count]
        if self.model.session(session_id).locked_until is None:
            assert isinstance(receiver.error, SessionLockLostError)
            del self.receivers[session_id]
            expected = []
        receiver.deliveries.clear()
        receiver.credit, receiver.settles = count, settles
        self.queue().wake(receiver)
        receiver.credit = 0
        self.check(expected, receiver.deliveries, "queue", settles)

    @precondition(lambda self: self.model.has_sessions)
    @rule(session_id=st.sampled_from(SESSIONS))
    def renew_session(self, session_id: str) -> None:
        is_held = self.model.session(session_id).locked_until is not None
        with self.refused(SessionLockLostError, not is_held):
            assert self.queue().renew_session(session_id) == self.model.now + LOCK
        if is_held:
            self.model.renew_session(session_id)

    @precondition(lambda self: self.model.has_sessions)
    @rule(session_id=st.sampled_from(SESSIONS))
    def release_session(self, session_id: str) -> None:
        receiver = self.receivers.pop(session_id, None)
        if receiver is not None:
            self.queue().release_session(receiver.session)
            self.model.release_session(session_id)
            self.commit()

    @precondition(lambda self: self.model.has_sessions)
    @rule(session_id=st.sampled_from(SESSIONS), state=st.sampled_from([None, b"1", b"2"]))
    def set_state(self, session_id: str, state: bytes | None) -> None:
        is_held = self.model.session(session_id).locked_until is not None
        with self.refused(SessionLockLostError, not is_held):
            self.queue().set_session_state(session_id, state)
        if is_held:
            self.model.session(session_id).state = state
            assert self.queue().get_session_state(session_id) == state
        self.commit()

    # --- time and death ---------------------------------------------------------------------------------------------

    @rule(pause=st.sampled_from(PAUSES), is_told=st.booleans())
    def advance(self, pause: int, is_told: bool) -> None:
        self.bench.advance(pause)
        self.model.advance(pause)
        if is_told:
            self.bench.broker.run_due()
            due = self.bench.broker.next_due()
            assert due is None or due > self.model.now
        self.commit()

    @rule(is_killed=st.booleans())
    def restart(self, is_killed: bool) -> None:
        # What came due when the invariants looked is on disk, as it is where a server commits in the same loop turn.
        self.commit()
        if is_killed:
            self.bench.send(make("lost", session_id="x", message_id="lost"))
            self.store._database.close()
        else:
            self.bench.broker.close()
        self.bench.reopen(self.open_store())
        self.model.restart()
        if is_killed:  # it may leave a gap in the numbers
            last = self.bench.broker.target("q").log.last_number
            assert self.model.last_number <= last < self.model.last_number + 100
            self.model.last_number = last
        self.receivers.clear()

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def both_show_the_same(self) -> None:
        for place in PATHS:
            shown = [
                (text_of(each), each.sequence_number, each.delivery_count, each.state.name.lower(), each.enqueued_at)
                + (each.enqueued_sequence_number, each.message.application_properties.get("DeadLetterReason"))
                for each in self.queue(place).peek(0, 1_000)
            ]
            assert shown == [
                (item.text, item.number, item.count, item.state, item.enqueued_at, item.first_number, item.reason)
                for item in self.model.listed(place)
            ]
        counts = self.bench.broker.counts("q")
        there = [item for item in self.model.items if item.place == "queue"]
        scheduled = sum(item.state == "scheduled" for item in there)
        dead = sum(item.place == "dead" for item in self.model.items)
        assert (counts.active, counts.scheduled, counts.dead_letter) == (len(there) - scheduled, scheduled, dead)

    @invariant()
    def both_know_the_same_sessions(self) -> None:
        if self.model.has_sessions:
            there = {item.session for item in self.model.items if item.place == "queue"}
            there |= {name for name, session in self.model.sessions.items() if session.state is not None}
            assert self.queue().session_ids() == sorted(there)


BrokerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBroker = BrokerMachine.TestCase
