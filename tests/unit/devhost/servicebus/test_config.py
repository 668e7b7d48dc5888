"""The official emulator's configuration format: what is read, what is refused and what is only odd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devhost.servicebus.config import load_config
from devhost.servicebus.config_reader import ConfigError
from devhost.servicebus.descriptions import QueueDescription, RuleDescription, SubscriptionDescription
from devhost.servicebus.filters import CorrelationFilter, SqlAction, SqlFilter

ROOT = Path(__file__).resolve().parents[4]


def document(queues=(), topics=()):
    return {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": list(queues), "Topics": list(topics)}]}}


def queue(**properties):
    return {"Name": "q", "Properties": properties}


def topic(*subscriptions, **properties):
    return {"Name": "t", "Properties": properties, "Subscriptions": list(subscriptions)}


def rule(**properties):
    return topic({"Name": "s", "Rules": [{"Name": "r", "Properties": properties}]})


def test_the_app_s_own_configuration_is_within_the_official_emulator_s_limits():
    config = load_config(ROOT / "servicebus.json")
    assert config.warnings == []
    queues = {found.name: found for found in config.queues}
    assert set(queues) == {"jobs", "order-events", "deliveries", "poison-jobs", "replies"}
    assert queues["jobs"].max_delivery_count == 5
    assert queues["order-events"].requires_session
    assert queues["poison-jobs"].requires_duplicate_detection and queues["deliveries"].requires_duplicate_detection
    assert queues["poison-jobs"].duplicate_detection_window == 300_000
    (events,) = config.topics
    assert events.description.requires_duplicate_detection
    rules = {found.description.name: found.rules for found in events.subscriptions}
    assert rules == {
        "audit": [],
        "failures": [RuleDescription("failed", CorrelationFilter(subject="failed"))],
        "outcomes": [
            RuleDescription(label, CorrelationFilter(subject=label)) for label in ("completed", "failed", "cancelled")
        ],
        "alerts": [RuleDescription("alert", CorrelationFilter(subject="alert"))],
    }


def test_what_is_not_said_has_the_official_emulator_s_defaults():
    (found,) = load_config(document([{"Name": "q"}])).queues
    assert found == QueueDescription(
        "q", default_ttl=3_600_000, max_delivery_count=3, duplicate_detection_window=20_000, lock_duration=60_000
    )


def test_everything_that_can_be_said_of_a_subscription_is_read():
    properties = {
        "DeadLetteringOnMessageExpiration": True,
        "DefaultMessageTimeToLive": "PT30M",
        "LockDuration": "PT2M",
        "MaxDeliveryCount": 7,
        "ForwardDeadLetteredMessagesTo": "q",
        "ForwardTo": "",
        "RequiresSession": True,
    }
    rules = [
        {
            "Name": "by-values",
            "Properties": {
                "FilterType": "Correlation",
                "CorrelationFilter": {"ContentType": "text/plain", "Label": "red", "Properties": {"prop": "value"}},
            },
        },
        {
            "Name": "by-sql",
            "Properties": {
                "FilterType": "Sql",
                "SqlFilter": {"SqlExpression": "sys.MessageId = '123' AND userProp > 3"},
                "Action": {"SqlExpression": "SET sys.To = 'Entity'"},
            },
        },
    ]
    declared = {"Name": "s", "Properties": properties, "Rules": rules}
    config = load_config(document([queue()], [topic(declared, RequiresDuplicateDetection=True)]))
    assert config.topics[0].description.requires_duplicate_detection
    (subscription,) = config.topics[0].subscriptions
    assert subscription.description == SubscriptionDescription(
        "s",
        lock_duration=120_000,
        max_delivery_count=7,
        requires_session=True,
        default_ttl=1_800_000,
        dead_letter_on_expiration=True,
        forward_dead_letters_to="q",
    )
    assert subscription.rules == [
        RuleDescription(
            "by-values", CorrelationFilter(content_type="text/plain", subject="red", properties={"prop": "value"})
        ),
        RuleDescription(
            "by-sql", SqlFilter("sys.MessageId = '123' AND userProp > 3"), SqlAction("SET sys.To = 'Entity'")
        ),
    ]
    assert config.warnings == []


def test_a_file_may_hold_comments_but_not_lose_what_looks_like_one(tmp_path):
    path = tmp_path / "config.json"
    text = json.dumps(document([queue()], [rule(FilterType="Sql", SqlFilter={"SqlExpression": "a = '//'"})]))
    path.write_text("// at the top\n" + text.replace('"q"', '"q" /* between\nlines */'))
    config = load_config(path)
    assert config.topics[0].subscriptions[0].rules[0].filter == SqlFilter("a = '//'")


@pytest.mark.parametrize(
    ("properties", "warning"),
    [
        ({"LockDuration": "PT1S"}, "LockDuration is PT1S; the official emulator takes PT5S to PT5M"),
        ({"MaxDeliveryCount": 100}, "MaxDeliveryCount is 100; the official emulator takes 1 to 10"),
        ({"DefaultMessageTimeToLive": "P14D"}, "DefaultMessageTimeToLive is P14D"),
        ({"MaxDeliverycounts": 4}, "MaxDeliverycounts is not known; did you mean MaxDeliveryCount?"),
        ({"Colour": "red"}, "Colour is not known; it is ignored"),
    ],
)
def test_what_the_official_emulator_would_not_take_is_a_warning_of_one_line(properties, warning):
    (found,) = load_config(document([queue(**properties)])).warnings
    assert warning in found
    assert "UserConfig.Namespaces[0].Queues[0].Properties." in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "The document must be an object"),
        ({}, "no UserConfig"),
        ({"UserConfig": {"Namespaces": []}}, "must hold one namespace; there are 0"),
        ({"UserConfig": {"Namespaces": {}}}, "UserConfig.Namespaces must be an array"),
        (document([{"Properties": {}}]), r"Queues\[0\].Name is missing"),
        (document([{"Name": 3}]), r"Queues\[0\].Name must be a text, not 3"),
        (document([{"Name": "-q"}]), "'-q' cannot be the name of a queue"),
        (document([{"Name": "x" * 261}]), "may have 260 characters"),
        (document([{"Name": "q"}, {"Name": "Q"}]), "'Q' stands there twice"),
        (document([{"Name": "t"}], [topic()]), "'t' stands there twice"),
        (document([queue(LockDuration="60")]), "LockDuration cannot be used: '60' is no ISO 8601 duration"),
        (document([queue(LockDuration="PT0S")]), "LockDuration must be longer than 0"),
        (document([queue(LockDuration="PT6M")]), "at most PT5M"),
        (document([queue(LockDuration="P10675199DT2H48M5.4775807S")]), "LockDuration cannot be unlimited"),
        (document([queue(LockDuration=60)]), "LockDuration must be a text, not 60"),
        (document([queue(MaxDeliveryCount=0)]), "it must be from 1 to 2000"),
        (document([queue(MaxDeliveryCount="5")]), "MaxDeliveryCount must be a whole number"),
        (document([queue(MaxDeliveryCount=True)]), "MaxDeliveryCount must be a whole number"),
        (document([queue(RequiresSession="yes")]), "RequiresSession must be true or false"),
        (document([queue(ForwardTo="elsewhere")]), "no queue or topic of that name is declared"),
        (document([queue(ForwardTo="Q")]), "names the entity itself"),
        (document([queue(ForwardTo="t", RequiresSession=True)], [topic()]), "with sessions cannot forward"),
        (document([], [topic({"Name": "a/b"})]), "only queues and topics may have a /"),
        (document([], [topic({"Name": "s"}, {"Name": "S"})]), "Subscriptions: 'S' stands there twice"),
        (document([], [rule(FilterType="Regex")]), "FilterType is 'Regex'"),
        (document([], [rule(FilterType="Sql", SqlFilter={})]), "SqlExpression is missing"),
        (document([], [rule(FilterType="Sql", SqlFilter={"SqlExpression": "a = = 3"})]), "at position 5"),
        (document([], [rule(FilterType="Correlation")]), "names no property"),
        (
            document([], [rule(CorrelationFilter={"Properties": {"a": [1]}})]),
            "Properties.a must be a text, a number, true or false",
        ),
        (
            document([], [rule(CorrelationFilter={"To": "x"}, Action={"SqlExpression": "SET"})]),
            "is not complete",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place_and_cause(given, message):
    with pytest.raises(ConfigError, match=message):
        load_config(given)


def test_a_missing_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(ConfigError, match="There is no .*config.json. Name the configuration with --config"):
        load_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text('// one\n/* two\n*/ {"UserConfig": }')
    with pytest.raises(ConfigError, match="config.json is no JSON: .* line 3"):
        load_config(tmp_path / "config.json")
