"""Duplicate detection by message id."""

from __future__ import annotations

from uuid import UUID

import pytest

from devhost.servicebus.descriptions import SubscriptionDescription, TopicDescription
from devhost.servicebus.errors import MessageNotFoundError
from tests.unit.devhost.servicebus.workbench import MINUTE, START, Bench, make


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.create(requires_duplicate_detection=True, duplicate_detection_window=MINUTE)
    return bench


def test_a_repetition_within_the_window_is_dropped_silently(bench: Bench) -> None:
    bench.send(make("first", message_id="m"))
    bench.advance(MINUTE - 1)
    bench.send(make("again", message_id="m"), make("other", message_id="n"))
    assert bench.texts() == ["first", "other"]
    bench.advance(1)  # the window counts from the first one, not from its repetitions
    bench.send(make("later", message_id="m"))
    assert bench.texts() == ["first", "other", "later"]


def test_what_was_received_or_dead_lettered_is_remembered(bench: Bench) -> None:
    bench.send(make("a", message_id="m"), make("b", message_id="n"))
    queue = bench.broker.queue("q")
    queue.complete(bench.token())
    queue.dead_letter(bench.token(), "Bad")
    bench.send(make("a", message_id="m"), make("b", message_id="n"))
    assert bench.texts() == []


def test_a_batch_may_repeat_itself(bench: Bench) -> None:
    bench.send(make("a", message_id="m"), make("b", message_id="m"))
    assert bench.texts() == ["a"]


def test_messages_without_id_are_all_different(bench: Bench) -> None:
    bench.send("a", "b")
    assert bench.texts() == ["a", "b"]


def test_ids_of_other_types_are_ids(bench: Bench) -> None:
    for message_id in (5, UUID(int=7), b"\x00\xff"):
        bench.send(make(str(message_id), message_id=message_id), make("again", message_id=message_id))
    assert bench.texts() == ["5", str(UUID(int=7)), str(b"\x00\xff")]


def test_scheduled_messages_count_when_they_are_accepted(bench: Bench) -> None:
    target = bench.broker.target("q")
    first, second = target.schedule(
        [make("a", message_id="m", at=START + 10), make("b", message_id="m", at=START + 10)]
    )
    assert second > first
    bench.send(make("c", message_id="m"))
    with pytest.raises(MessageNotFoundError):
        target.cancel([second])
    bench.advance(10)
    assert bench.texts() == ["a"]


def test_topics_detect_duplicates_before_they_copy() -> None:
    bench = Bench()
    bench.broker.create_topic(TopicDescription("t", requires_duplicate_detection=True))
    bench.broker.create_subscription("t", SubscriptionDescription("s"))
    bench.send(make("a", message_id="m"), make("b", message_id="m"), to="t")
    assert bench.texts("t/Subscriptions/s") == ["a"]


def test_forwarded_repetitions_are_dropped_at_the_target(bench: Bench) -> None:
    bench.create("door", forward_to="q")
    for text in "ab":
        bench.send(make(text, message_id="m"), to="door")
    assert bench.texts() == ["a"]
    assert bench.broker.counts("door").total == 0


def test_a_queue_without_detection_takes_everything() -> None:
    bench = Bench()
    bench.create()
    bench.send(make("a", message_id="m"), make("b", message_id="m"))
    assert bench.texts() == ["a", "b"]
