"""Auto-forwarding of messages and of dead letters."""

from __future__ import annotations

import pytest

from devhost.servicebus.delivery import Delivery
from devhost.servicebus.descriptions import QueueDescription, SubscriptionDescription, TopicDescription
from devhost.servicebus.errors import ArgumentError, EntityNotFoundError, NotAllowedError
from tests.unit.devhost.servicebus.workbench import Bench, make, text_of


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.create("end")
    return bench


def reason(delivery: Delivery) -> str:
    return delivery.message.application_properties["DeadLetterReason"]


def test_a_forwarding_queue_hands_everything_on(bench: Bench) -> None:
    bench.create("door", forward_to="END")
    bench.send("a", to="end")
    bench.send("b", to="door")
    _, delivery = bench.receive(2, "end")
    assert text_of(delivery) == "b"
    assert (delivery.sequence_number, delivery.enqueued_sequence_number) == (2, 1)
    assert bench.broker.counts("door").total == 0
    with pytest.raises(NotAllowedError, match="receive them there"):
        bench.listen(path="door")


def test_subscriptions_forward_and_topics_are_forwarded_to(bench: Bench) -> None:
    bench.broker.create_topic(TopicDescription("t"))
    bench.broker.create_subscription("t", SubscriptionDescription("s", forward_to="sb://127.0.0.1:5672/end"))
    bench.create("door", forward_to="t")
    bench.send("a", to="door")
    assert bench.texts("end") == ["a"]


@pytest.mark.parametrize(("hops", "arrives"), [(4, True), (5, False)])
def test_a_chain_has_four_hops_at_most(bench: Bench, hops: int, arrives: bool) -> None:
    bench.create("q0", forward_to="end")
    for number in range(1, hops):
        bench.create(f"q{number}", forward_to=f"q{number - 1}")
    bench.send("a", to=f"q{hops - 1}")
    assert bench.texts("end") == (["a"] if arrives else [])
    if not arrives:
        assert reason(bench.take("q0/$DeadLetterQueue")) == "MaxTransferHopCountExceeded"


def test_a_ring_ends(bench: Bench) -> None:
    bench.create("ring", forward_to="end")
    bench.broker.update_queue(QueueDescription("end", forward_to="ring"))
    bench.send("a", to="ring")
    places = [path for path in ("end", "ring") if bench.texts(f"{path}/$DeadLetterQueue")]
    assert len(places) == 1


@pytest.mark.parametrize(
    ("trouble", "why"),
    [("missing", "EntityNotFound"), ("disabled", "EntityDisabled"), ("full", "QuotaExceeded")],
)
def test_what_cannot_be_handed_on_is_in_the_transfer_dead_letter_queue(bench: Bench, trouble: str, why: str) -> None:
    bench.create("door", forward_to="end")
    if trouble == "missing":
        bench.broker.delete_queue("end")
    elif trouble == "disabled":
        bench.broker.update_queue(QueueDescription("end", status="SendDisabled"))
    else:
        bench.broker.update_queue(QueueDescription("end", max_size_in_megabytes=0))
    bench.send("a", to="door")
    delivery = bench.take("door/$Transfer/$DeadLetterQueue")
    assert (text_of(delivery), reason(delivery)) == ("a", why)
    assert bench.broker.counts("door").transfer_dead_letter == 1


def test_large_properties_are_not_forwarded(bench: Bench) -> None:
    bench.create("door", forward_to="end")
    bench.send(make("a", properties={"large": "x" * 65_000}), make("b", properties={"large": "x" * 66_000}), to="door")
    assert bench.texts("end") == ["a"]
    assert reason(bench.take("door/$DeadLetterQueue")) == "HeaderSizeExceeded"


def test_what_has_no_session_is_buried_where_sessions_are_required(bench: Bench) -> None:
    bench.create("sessions", requires_session=True)
    bench.create("door", forward_to="sessions")
    bench.send(make("a", session_id="x"), "b", to="door")
    assert bench.texts("sessions") == ["a"]
    assert reason(bench.take("sessions/$DeadLetterQueue")) == "Session ID is null."


def test_dead_letters_are_forwarded_with_reason_and_source(bench: Bench) -> None:
    bench.create("work", forward_dead_letters_to="end", requires_session=True)
    bench.send(make("a", session_id="x", properties={"kept": 1}), to="work")
    receiver = bench.accept("x", "work", credit=1)
    bench.broker.queue("work").dead_letter(receiver.deliveries[0].token, "Bad", "It is bad.")
    delivery = bench.take("end")
    assert delivery.message.application_properties == {
        "kept": 1,
        "DeadLetterReason": "Bad",
        "DeadLetterErrorDescription": "It is bad.",
    }
    assert delivery.dead_letter_source == "work"
    assert delivery.annotations()["x-opt-deadletter-source"] == "work"
    assert (delivery.delivery_count, delivery.enqueued_sequence_number) == (0, 1)


def test_dead_letters_that_cannot_be_forwarded_stay(bench: Bench) -> None:
    bench.create("work", forward_dead_letters_to="end")
    bench.broker.delete_queue("end")
    bench.send("a", to="work")
    bench.broker.queue("work").dead_letter(bench.token("work"), "Bad")
    assert reason(bench.take("work/$DeadLetterQueue")) == "Bad"


def test_forwarding_that_is_switched_on_takes_what_is_there(bench: Bench) -> None:
    bench.create("late")
    bench.send("locked", "free", "dead", to="late")
    queue = bench.broker.queue("late")
    locked, free, dead = bench.receive(3, "late")
    queue.dead_letter(dead.token, "Bad")
    queue.release(free.token)
    bench.broker.update_queue(QueueDescription("late", forward_to="end", forward_dead_letters_to="end"))
    assert bench.texts("end") == ["free", "dead"]
    queue.abandon(locked.token)
    assert bench.texts("end") == ["free", "dead", "locked"]
    assert bench.broker.counts("late").total == 0


def test_forwarding_needs_another_entity_that_exists(bench: Bench) -> None:
    for field in ("forward_to", "forward_dead_letters_to"):
        with pytest.raises(EntityNotFoundError):
            bench.create("door", **{field: "nowhere"})
        with pytest.raises(ArgumentError, match="itself"):
            bench.broker.update_queue(QueueDescription("end", **{field: "End"}))
    with pytest.raises(ArgumentError, match="session"):
        bench.create("door", requires_session=True, forward_to="end")
