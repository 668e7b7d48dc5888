"""The scenarios keep the promises that the demo makes."""

from __future__ import annotations

import json

from demo.outcomes import Case
from demo.scenarios import GROUPS
from sandbox.models import FaultOrder

SCENARIOS = [scenario for group in GROUPS.values() for scenario in group]


def test_every_door_gets_good_and_bad_and_there_are_enough_orders():
    doors = {"http", "jobs", "jobs-urgent", "bus", "photos", "order-imports", "order"}
    assert {scenario.door for scenario in SCENARIOS} == doors
    orders = {scenario.id for scenario in SCENARIOS if scenario.id.startswith("A-")}
    assert len(orders) >= 12


def test_a_fault_is_for_its_own_customer_only():
    aimed = [FaultOrder.model_validate(Case(s).aim(fault)) for s in SCENARIOS for fault in s.faults]
    assert len(aimed) >= 9
    assert all(order.when.customer or order.when.recipient for order in aimed)
    customer_of = {
        s.id: json.loads(s.content)["customer"]["id"] for s in SCENARIOS if s.id.startswith("A-") and not s.sample
    }
    assert len(set(customer_of.values())) == len(customer_of)


def test_a_queue_message_is_a_job_unless_the_sample_is_none():
    by_story = {scenario.story: scenario for scenario in SCENARIOS}
    assert json.loads(by_story["urgent, passes the rest"].message)["kind"] == "order"
    assert by_story["not JSON"].message == by_story["not JSON"].content


def test_what_comes_after_an_order_comes_after_one_that_is_sold():
    outcomes = {scenario.id: scenario.expected for scenario in reversed(SCENARIOS)}
    assert {outcomes[scenario.after] for scenario in SCENARIOS if scenario.after} == {"Completed"}


def test_every_pattern_is_shown():
    assert set(GROUPS) >= {"chaining", "saga", "human", "monitor", "fan-out"}


def test_stories_fit_the_table():
    assert max(len(scenario.story) for scenario in SCENARIOS) <= 24
    assert max(len(scenario.expected) for scenario in SCENARIOS) <= 26
