"""What jobs tell in the topic `job-events`, as subscriptions with filters get it by the real client."""

from __future__ import annotations

import json
import sys
from collections import Counter

import pytest

from tests.integration.jobs_seen import fresh


@pytest.fixture
def events(jobs, bus):
    """What a subscription has got of one job: label and CloudEvent, in the order of arrival."""
    kept = {}

    def of(subscription: str, id: str) -> list[tuple[str, dict]]:
        jobs.shop.drain()
        kept.setdefault(subscription, []).extend(bus.told(subscription))
        found = [(message.subject, json.loads(b"".join(message.body))) for message in kept[subscription]]
        return [(label, event) for label, event in found if event["subject"] == id]

    return of


async def tell_again(events, ledger, id: str) -> None:
    """The end of an order once more, as after a crash."""
    await events.ended(await ledger.get("order", id))


def test_each_subscription_gets_what_its_filter_says_in_the_order_of_what_happened(jobs, bus, events):
    sold, declined, stopped = fresh("sold"), fresh("declined"), fresh("stopped")
    jobs.sandbox.fault({"when": {"customer": declined, "operation": "authorize"}, "fault": "decline"})
    jobs.sandbox.fault({"when": {"customer": stopped, "operation": "authorize"}, "fault": "throttle"})
    for id in (sold, declined, stopped):
        jobs.submit(id)
    jobs.shop.drain()
    jobs.shop.post(f"/api/jobs/order/{stopped}/cancel")
    jobs.shop.drain()
    outcomes = {sold: "completed", declined: "failed", stopped: "cancelled"}
    for id, outcome in outcomes.items():
        status = jobs.ended(id)
        labels = [label for label, _ in events("audit", id)]
        assert labels[0] == "started" and labels[-1] == outcome and set(labels[1:-1]) == {"progressed"}
        told = events("audit", id)[-1][1]["data"]
        assert {name: told[name] for name in ("status", "waitSeconds", "runSeconds")} == {
            name: status[name] for name in ("status", "waitSeconds", "runSeconds")
        }
        assert [label for label, _ in events("failures", id)] == (["failed"] if outcome == "failed" else [])
    assert bus.waiting("job-events/subscriptions/outcomes") == 3
    assert bus.waiting("job-events/subscriptions/alerts") == 0
    steps = [event["data"] for label, event in events("audit", sold) if label == "progressed"]
    assert [(each["step"], each["percent"]) for each in steps] == [
        ("reserve_stock", 20),
        ("charge_payment", 40),
        ("confirm_order", 60),
        ("hand_over_order", 80),
    ]
    assert events("failures", declined)[0][1]["data"]["error"]["type"] == "CardDeclined"
    jobs.shop.call(tell_again, sys.modules["jobs.events"], sys.modules["jobs.ledger"], declined)
    assert len(events("failures", declined)) == 1 and bus.waiting("job-events/subscriptions/outcomes") == 3
    everything = json.dumps([events("audit", id) for id in outcomes])
    assert "example.com" not in everything and jobs.sku not in everything


def test_a_job_that_is_replayed_tells_it_all_again_by_other_ids(jobs, events):
    id = fresh("again")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "authorize"}, "fault": "decline", "times": 1})
    jobs.submit(id)
    jobs.shop.drain()
    letters = jobs.shop.get("/api/dead-letters").json()["deadLetters"]
    (letter,) = [each for each in letters if each["jobId"] == id]
    assert jobs.shop.post(f"/api/dead-letters/{letter['id']}/replay").status_code == 202
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Completed"
    labels = Counter(label for label, _ in events("audit", id))
    assert (labels["started"], labels["failed"], labels["completed"]) == (2, 1, 1)
    ids = [event["id"] for _, event in events("audit", id)]
    assert len(set(ids)) == len(ids)
    assert {each.split("@")[0] for each in ids} == {f"order-{id}", f"order-{id}~2"}
