"""Topics: which subscription gets which copies."""

from __future__ import annotations

import pytest

from devhost.servicebus.descriptions import RuleDescription, SubscriptionDescription, TopicDescription
from devhost.servicebus.errors import EntityDisabledError, MessageSizeExceededError, NotAllowedError
from devhost.servicebus.filters import CorrelationFilter, FalseFilter, SqlAction, SqlFilter, TrueFilter
from tests.unit.devhost.servicebus.workbench import SECOND, Bench, make, text_of

S = "t/Subscriptions/s"


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.broker.create_topic(TopicDescription("t", default_ttl=10 * SECOND, max_message_size=1_000))
    return bench


def subscribe(bench: Bench, name: str = "s", *rules: RuleDescription, **fields) -> str:
    bench.broker.create_subscription("t", SubscriptionDescription(name, **fields), rules or None)
    return f"t/Subscriptions/{name}"


def test_each_subscription_has_its_own_copy(bench: Bench) -> None:
    first, second = subscribe(bench, "first"), subscribe(bench, "second")
    bench.send("a", to="t")
    bench.broker.queue(first).dead_letter(bench.token(first), "Bad")
    assert bench.texts(f"{first}/$DeadLetterQueue") == ["a"]
    delivery = bench.take("T/subscriptions/SECOND")
    assert (text_of(delivery), delivery.sequence_number, delivery.delivery_count) == ("a", 1, 0)
    assert "DeadLetterReason" not in delivery.message.application_properties
    assert bench.broker.queue(second).path == "t/Subscriptions/second"


def test_what_nobody_takes_is_gone(bench: Bench) -> None:
    subscribe(bench, "s", RuleDescription("none", FalseFilter()))
    bench.broker.create_subscription("t", SubscriptionDescription("ruleless"), [])
    bench.send("a", to="t")
    assert bench.texts(S) == [] == bench.texts("t/Subscriptions/ruleless")


def test_one_rule_that_matches_is_enough_and_several_make_one_copy(bench: Bench) -> None:
    rules = [RuleDescription(subject, CorrelationFilter(subject=subject)) for subject in ("red", "blue")]
    subscribe(bench, "s", *rules, RuleDescription("large", SqlFilter("size > 10")))
    bench.send(make("1", subject="red", properties={"size": 20}), make("2", subject="green"), to="t")
    bench.send(make("3", subject="green", properties={"size": 11}), make("4", subject="blue"), to="t")
    assert bench.texts(S) == ["1", "3", "4"]


def test_each_matching_rule_with_an_action_makes_a_copy_of_its_own(bench: Bench) -> None:
    subscribe(
        bench,
        "s",
        RuleDescription("plain", TrueFilter()),
        RuleDescription("also", TrueFilter()),
        RuleDescription("one", TrueFilter(), SqlAction("SET n = 1")),
        RuleDescription("two", TrueFilter(), SqlAction("SET n = 2")),
        RuleDescription("not", FalseFilter(), SqlAction("SET n = 3")),
    )
    bench.send("a", to="t")
    copies = bench.receive(9, S)
    assert [copy.message.application_properties.get("n") for copy in copies] == [None, 1, 2]
    assert [copy.sequence_number for copy in copies] == [1, 2, 3]


def test_a_filter_that_fails_dead_letters_or_drops(bench: Bench) -> None:
    rule = RuleDescription("bad", SqlFilter("1 / zero = 1"))
    strict = subscribe(bench, "strict", rule, dead_letter_on_filter_errors=True)
    easy = subscribe(bench, "easy", rule, dead_letter_on_filter_errors=False)
    other = subscribe(bench, "other")
    bench.send(make("a", properties={"zero": 0}), to="t")
    dead = bench.take(f"{strict}/$DeadLetterQueue")
    assert dead.message.application_properties["DeadLetterReason"] == "FilterEvaluationException"
    assert bench.texts(strict) == bench.texts(easy) == bench.texts(f"{easy}/$DeadLetterQueue") == []
    assert bench.texts(other) == ["a"]


def test_rules_may_be_changed_at_any_time(bench: Bench) -> None:
    subscribe(bench)
    bench.broker.update_rule("t", "s", RuleDescription("$Default", FalseFilter()))
    bench.send("a", to="t")
    bench.broker.create_rule("t", "s", RuleDescription("all", TrueFilter()))
    bench.send("b", to="t")
    bench.broker.delete_rule("t", "s", "ALL")
    bench.send("c", to="t")
    assert bench.texts(S) == ["b"]


@pytest.mark.parametrize(
    ("of_subscription", "lives"), [(None, 10 * SECOND), (SECOND, SECOND), (60 * SECOND, 10 * SECOND)]
)
def test_the_topics_time_to_live_counts_too(bench: Bench, of_subscription: int | None, lives: int) -> None:
    subscribe(bench, default_ttl=of_subscription)
    bench.send("a", to="t")
    bench.advance(lives - 1)
    assert bench.texts(S) == ["a"]
    bench.advance(1)
    assert bench.texts(S) == []


def test_a_subscription_with_sessions_buries_what_has_none(bench: Bench) -> None:
    subscribe(bench, requires_session=True)
    bench.send("a", make("b", session_id="x"), to="t")
    assert bench.texts(S) == ["b"]
    dead = bench.take(f"{S}/$DeadLetterQueue")
    assert dead.message.application_properties["DeadLetterReason"] == "Session ID is null."


def test_topics_refuse_what_they_cannot_take(bench: Bench) -> None:
    subscribe(bench)
    with pytest.raises(MessageSizeExceededError):
        bench.send(make(body=b"x" * 1_000), to="t")
    with pytest.raises(NotAllowedError, match="is a topic"):
        bench.broker.queue("t")
    with pytest.raises(NotAllowedError):
        bench.broker.target(S)
    bench.broker.update_topic(TopicDescription("t", status="SendDisabled"))
    with pytest.raises(EntityDisabledError):
        bench.send("a", to="t")
