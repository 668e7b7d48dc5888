"""Shipments: watched for weeks in virtual time, through outages, by look-ups and webhooks, to each of their ends."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.integration.jobs_seen import fresh

SECRET = "whsec_Zm9yIHRlc3RzIG9mIHNoaXBtZW50cw=="
QUEUE_DOORS = (
    *("take_job", "take_urgent_job", "take_bus_job", "take_order_event", "take_delivery"),
    *("relay_job", "relay_urgent_job", "relay_blob"),
)
WITHOUT_QUEUES = {f"AzureWebJobs.{name}.Disabled": "1" for name in QUEUE_DOORS}
"""Nothing looks into queues after each step of the clock."""

DAY = 24 * 60
GROWING = [15, 30, 60, 120, 240, 480, 960]
"""Minutes between looks after a change, until they are the longest: a day."""
MONTH = (
    # On which day the carrier goes away or is back, or the parcel comes to a state.
    *((1, "away"), (1.5, "back"), (2, "collected"), (4, "away"), (6, "back"), (9, "in-transit"), (11, "away")),
    *((14, "back"), (18, "away"), (19, "out-for-delivery"), (20, "back"), (26, "away"), (27.5, "back")),
    (30, "delivered"),
)


class Shipments:
    """The shipments of one shop whose carrier is the sandbox."""

    def __init__(self, jobs) -> None:
        self.jobs, self.shop, self.sandbox = jobs, jobs.shop, jobs.sandbox
        self.looks: list[datetime] = []
        """When the carrier was looked up, in virtual time."""
        self.longest_history = 0
        """Events, of one execution."""
        jobs.after("look_up_parcel", self._see)
        self.sandbox.tell_parcels_at(f"{self.shop.url}/api/webhooks/carrier", SECRET)

    def start(self) -> str:
        """Book a parcel and have it watched. Returns its number."""
        parcel = self.sandbox.book_parcel(fresh("order"))
        assert self.submit(parcel).status_code == 202
        self.shop.drain()
        return parcel

    def submit(self, parcel: str, **changes: str) -> Any:
        input = {"parcel": parcel, "order": "A-1", "email": f"{parcel.lower()}@example.com"} | changes
        return self.shop.post("/api/jobs/shipment", json=input)

    def move(self, parcel: str, state: str, *, told: bool) -> None:
        """Move a parcel, and tell the webhook or lose that."""
        if not told:
            self.sandbox.fault({"when": {"operation": "webhook"}, "fault": "lost", "times": 1})
        answers = self.sandbox.move_parcel(parcel, state)["webhook"]
        assert set(answers) <= {202}
        self.shop.drain()

    def outage(self, fault: str = "error") -> None:
        self.sandbox.fault({"when": {"operation": "track"}, "fault": fault})

    def status(self, parcel: str) -> dict[str, Any]:
        return self.jobs.status(parcel, "shipment")

    def mailed(self, parcel: str) -> list[str]:
        """The states of which the customer was told, in that order."""
        box = self.sandbox.mailbox(f"{parcel.lower()}@example.com")
        assert box["duplicates"] == 0
        return [mail["text"].split("State: ")[1].split()[0] for mail in box["messages"]]

    def intervals(self) -> list[int]:
        """Minutes between looks."""
        return [round((later - earlier).total_seconds() / 60) for earlier, later in pairwise(self.looks)]

    def _see(self) -> None:
        self.looks.append(self.shop.app.clock.now())
        with sqlite3.connect(self.shop.app.task_hub) as hub:
            sums = hub.execute("SELECT sum(json_array_length('[' || events || ']')) FROM history GROUP BY instance")
            self.longest_history = max([self.longest_history, *(count for (count,) in sums)])


@pytest.fixture
def open_shipments(open_shop, jobs_of, sandbox):
    def start(**settings: str) -> Shipments:
        given = {"CARRIER_URL": sandbox.url, "CARRIER_WEBHOOK_SECRET": SECRET}
        return Shipments(jobs_of(open_shop(**given, **settings)))

    return start


@pytest.fixture
def shipments(open_shipments) -> Shipments:
    return open_shipments(**WITHOUT_QUEUES)


def test_a_month_on_the_way_with_five_outages(open_shipments):
    shipments = open_shipments(SHIPMENT_LONGEST_INTERVAL=str(86_400), **WITHOUT_QUEUES)
    parcel, now = shipments.start(), 0.0
    for day, event in MONTH:
        shipments.shop.advance(days=day - now)
        now = day
        if event == "away":
            shipments.outage()
        elif event == "back":
            assert shipments.status(parcel)["progress"]["outages"] >= 1
            shipments.sandbox.clear_faults()
        else:
            shipments.move(parcel, event, told=False)
    assert shipments.status(parcel)["progress"]["state"] == "out-for-delivery"
    shipments.shop.advance(hours=25)

    status = shipments.status(parcel)
    assert (status["status"], status["result"]["state"]) == ("Completed", "delivered")
    assert shipments.mailed(parcel) == ["announced", "collected", "in-transit", "out-for-delivery", "delivered"]
    # Four times they begin anew, and grow until they are the longest.
    intervals = shipments.intervals()
    begins = [index for index, minutes in enumerate(intervals) if minutes == GROWING[0]]
    assert len(begins) == 4
    for begin, end in pairwise([*begins, len(intervals)]):
        assert intervals[begin:end] == GROWING + [DAY] * (end - begin - len(GROWING))
    assert sum(intervals) >= 30 * DAY
    assert shipments.longest_history <= 150
    assert shipments.shop.failures == []


def test_webhooks_bring_news_sooner_and_in_an_outage(shipments):
    parcel, other = shipments.start(), shipments.start()
    waiting = shipments.status(parcel)
    assert (waiting["waitingFor"], waiting["progress"]["state"]) == ("carrier", "announced")
    shipments.shop.advance(days=1)
    looks = len(shipments.looks)
    shipments.move(parcel, "collected", told=True)
    assert (shipments.mailed(parcel), len(shipments.looks)) == (["announced", "collected"], looks + 1)

    # The carrier's API is away, or its site is there in its place; its webhooks come, also twice.
    for fault, state in (("error", "in-transit"), ("rubbish", "out-for-delivery")):
        shipments.outage(fault)
        shipments.sandbox.fault({"when": {"operation": "webhook"}, "fault": "duplicate", "times": 1})
        shipments.move(parcel, state, told=True)
        assert shipments.mailed(parcel)[-1] == state
        assert shipments.status(parcel)["progress"]["outages"] >= 1
        shipments.shop.advance(minutes=16)
        shipments.sandbox.clear_faults()
    # A webhook is lost, and the next look has the news.
    shipments.move(parcel, "in-transit", told=False)
    assert shipments.mailed(parcel)[-1] == "out-for-delivery"
    shipments.shop.advance(hours=1)
    assert shipments.mailed(parcel)[-1] == "in-transit"
    shipments.move(parcel, "returned", told=True)

    status = shipments.status(parcel)
    assert (status["status"], status["result"]["state"]) == ("Completed", "returned")
    states = ["announced", "collected", "in-transit", "out-for-delivery", "in-transit", "returned"]
    assert shipments.mailed(parcel) == states
    # The other parcel has nothing to do with it.
    assert (shipments.mailed(other), shipments.status(other)["status"]) == (["announced"], waiting["status"])
    assert shipments.shop.failures == []


def test_one_instance_a_parcel_until_it_is_cancelled_or_its_time_is_over(open_shipments):
    # Longer than one timer may be (`jobs.waiting`).
    shipments = open_shipments(SHIPMENT_LONGEST_INTERVAL=str(12 * 86_400), **WITHOUT_QUEUES)
    parcel, late = shipments.start(), shipments.start()
    assert shipments.submit(parcel).status_code == 200
    assert shipments.submit(parcel, email="somebody.else@example.com").status_code == 409
    shipments.shop.drain()
    assert len(shipments.looks) == 2

    assert shipments.shop.post(f"/api/jobs/shipment/{parcel}/cancel").status_code == 202
    shipments.shop.drain()
    assert shipments.status(parcel)["status"] == "Cancelled"
    # The parcel goes on, and nobody is told.
    shipments.move(parcel, "collected", told=True)
    assert shipments.mailed(parcel) == ["announced"]

    shipments.shop.advance(days=46)
    status = shipments.status(late)
    assert (status["status"], status["error"]["type"]) == ("Failed", "DeadlineExceeded")
    assert shipments.intervals()[-1] == 12 * DAY


def test_an_order_has_its_parcel_booked_and_watched(open_shipments):
    shipments = open_shipments(**WITHOUT_QUEUES | {"AzureWebJobs.take_job.Disabled": "0"})
    jobs, id = shipments.jobs, fresh("order")
    # The carrier books, and its answer is lost; then it is away for a while.
    shipments.sandbox.fault({"when": {"operation": "book"}, "fault": "drop_after", "times": 1})
    shipments.sandbox.fault({"when": {"operation": "book"}, "fault": "error", "times": 7})
    assert jobs.submit(id).status_code == 202
    shipments.shop.advance(minutes=4)
    order = jobs.ended(id)
    assert order["status"] == "Completed" and "incomplete" not in order["result"]
    (parcel,) = shipments.sandbox.parcels(f"order-{id}")["parcels"]
    assert order["result"]["parcel"] == parcel["id"]
    watched = shipments.status(parcel["id"])
    assert (watched["status"], watched["correlationId"]) == ("Waiting", order["correlationId"])
    # At the second door it is the same job.
    input = {"parcel": parcel["id"], "order": id, "email": f"{id}@example.com"}
    assert shipments.shop.post("/api/jobs/shipment", json=input).status_code == 200

    shipments.move(parcel["id"], "delivered", told=True)
    assert shipments.status(parcel["id"])["result"]["state"] == "delivered"
    subjects = [mail["subject"] for mail in jobs.mails(id)]
    assert subjects == [f"Your order {id}", f"Your order {id}: parcel announced", f"Your order {id}: parcel delivered"]
    # The customer's address is in claims only.
    instance = f"/runtime/webhooks/durabletask/instances/shipment-{parcel['id']}"
    history = shipments.shop.get(f"{instance}?showHistory=true&showHistoryOutput=true&showInput=true").text
    rows = json.dumps(jobs.rows("parcels", f"PartitionKey eq '{parcel['id']}'"), default=str)
    assert "delivered" in rows and parcel["id"] in history
    assert "@example.com" not in history + rows + json.dumps(shipments.status(parcel["id"]))


def test_without_a_carrier_an_order_ends_as_it_did(jobs):
    id = fresh("order")
    jobs.submit(id)
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Completed"
    assert jobs.runs()["start_shipment"] == jobs.runs()["look_up_parcel"] == jobs.runs()["take_job"] == 0
    assert jobs.sandbox.parcels()["parcels"] == []
