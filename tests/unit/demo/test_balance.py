"""The demo finds what does not agree: it may not say that everything does when a piece, a cent or a mail is missing."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from demo.balance import draw_up
from demo.imported import Imported
from demo.outcomes import Case
from demo.scenarios import GROUPS, SAMPLES


@pytest.fixture
def world() -> dict[str, Any]:
    """All scenarios ended as expected, and a world in which all agrees."""
    cases = [
        Case(scenario, outcome=scenario.expected, outcome_of_replay=scenario.replayed)
        for group in GROUPS.values()
        for scenario in group
    ]
    articles = json.loads((SAMPLES / "stock.json").read_text())
    prices = {article["sku"]: article["price"] for article in articles}
    entries, messages = [], []
    for case in cases:
        if case.scenario.kind == "order" and case.last_outcome in ("Completed", "Failed, refund open"):
            amount = sum(prices[sku] * quantity for sku, quantity in case.lines.items())
            entries.append({"kind": "charge", "reference": f"order-{case.scenario.id}", "amount": amount})
        if case.scenario.kind in ("order", "mail", "refund") and case.last_outcome == "Completed":
            messages.append({"subject": case.scenario.id})
        if case.scenario.kind == "refund" and case.last_outcome == "Completed":
            amount = json.loads(case.scenario.content)["amount"]
            key = f"refund-{case.scenario.id}/refund"
            entries.append(
                {"kind": "refund", "reference": f"order-{case.scenario.after}", "amount": amount, "key": key}
            )
        if case.scenario.kind == "order" and case.last_outcome == "Completed":
            for article in articles:
                article["available"] -= case.lines.get(article["sku"], 0)
    imported = Imported({"f-2": {"TEA-LINDEN": 1}, "f-3": {"TEA-LINDEN": 2, "CANDLE-CEDAR": 1}})
    for id, lines in imported.orders.items():
        amount = sum(prices[sku] * quantity for sku, quantity in lines.items())
        entries.append({"kind": "charge", "reference": f"order-{id}", "amount": amount})
        messages.append({"subject": id})
        for article in articles:
            article["available"] -= lines.get(article["sku"], 0)
    return {
        "cases": cases,
        "imported": imported,
        "articles": articles,
        "ledger": {"entries": entries, "balance": sum(_signed(entry) for entry in entries)},
        "requests": {"requests": []},
        "mailbox": {"messages": messages, "duplicates": 0},
    }


def _signed(entry: dict[str, Any]) -> int:
    return -entry["amount"] if entry["kind"] == "refund" else entry["amount"]


def test_a_world_that_agrees_has_no_differences(world):
    balance = draw_up(**world)
    assert balance.differences() == []
    names = ["12 completed orders", "refund of A-1001", "open refund of A-1013", "2 imported orders", "balance"]
    assert [line.name for line in balance.money] == names
    assert balance.money[1].expected == -balance.refunded == -1000
    assert balance.money[3].expected == 450 + 2 * 450 + 1200


def test_a_lost_piece_is_named(world):
    world["articles"][0]["available"] -= 1
    (difference,) = draw_up(**world).differences()
    assert difference.startswith(world["articles"][0]["sku"])


def test_money_given_back_to_a_buyer_is_named(world):
    world["ledger"]["entries"].append({"kind": "refund", "reference": "order-A-1001", "amount": 1})
    world["ledger"]["balance"] -= 1
    assert [difference.partition(":")[0] for difference in draw_up(**world).differences()] == [
        "12 completed orders",
        "balance",
    ]


def test_money_of_an_order_that_was_not_sold_is_named(world):
    world["ledger"]["entries"].append({"kind": "charge", "reference": "order-A-1005", "amount": 100})
    world["ledger"]["balance"] += 100
    (difference,) = draw_up(**world).differences()
    assert difference.startswith("balance")


def test_a_second_charge_is_named_though_it_was_refunded(world):
    first = next(entry for entry in world["ledger"]["entries"] if entry["reference"] == "order-A-1001")
    world["ledger"]["entries"] += [copy.copy(first), {**first, "kind": "refund"}]
    assert draw_up(**world).differences() == ["order-A-1001 was charged more than once"]


def test_a_missing_mail_is_named(world):
    world["mailbox"]["messages"].pop()
    assert draw_up(**world).differences() == ["16 mails should have arrived, but 15 did"]


def test_attempts_are_shown_of_orders_that_had_trouble(world):
    def request(order: str, operation: str, status: int | None, fault: str | None = None) -> dict[str, Any]:
        return {"reference": f"order-{order}", "operation": operation, "status": status, "fault": fault}

    world["requests"]["requests"] = [
        request("A-1001", "charge", 201),
        request("A-1008", "authorize", 201),
        request("A-1008", "charge", None, "drop_after"),
        request("A-1008", "charge", 201),
        request("A-1012", "charge", 201, "slow"),
        request("A-1012", "refund", 201),
    ]
    assert draw_up(**world).attempts == {"A-1008": ("201", "no answer 201", ""), "A-1012": ("", "201 late", "201")}
