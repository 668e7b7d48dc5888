"""The report of a day's sales, through the shop: it says what was sold, once, whichever door asks for it."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusMessage

from tests.integration.jobs_seen import PRICE, fresh

OWNER = "owner@shop.example"


class Calendar:
    """The app's clock, as many days behind the host's as no other test is: Azurite has the sales of all of them."""

    def __init__(self, shop) -> None:
        self._shop = shop
        self._behind = timedelta(days=400 + int(uuid4().hex[:4], 16) // 2)

    def now(self) -> datetime:
        return self._shop.app.clock.now() - self._behind

    def today(self) -> str:
        return self.now().date().isoformat()

    def next_day(self) -> str:
        """Let the day end, and return it."""
        day = self.today()
        self._behind -= timedelta(days=1)
        return day


@pytest.fixture
def shop(open_shop):
    """The owner gets mails."""
    return open_shop(REPORT_MAIL_TO=OWNER)


@pytest.fixture
def calendar(shop, monkeypatch) -> Calendar:
    calendar = Calendar(shop)
    clock = sys.modules["jobs.clock"]
    monkeypatch.setattr(clock, "now", calendar.now)
    monkeypatch.setattr(clock, "zone", lambda: UTC)
    return calendar


def withdraw(jobs, id: str) -> None:
    """Somebody takes the order out of the book after it was confirmed: it cannot be handed over."""
    with TableServiceClient.from_connection_string(jobs.storage) as service:
        row = {"PartitionKey": id, "RowKey": "order", "state": "Withdrawn"}
        service.get_table_client("orders").update_entity(row, mode="merge")


def post(jobs, day: str, **input) -> httpx.Response:
    return jobs.shop.post("/api/jobs/sales-report", json={"day": day, **input})


def page_of(status: dict) -> httpx.Response:
    return httpx.get(status["result"]["html"]["url"])


def records(status: dict) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(httpx.get(status["result"]["csv"]["url"]).text)))


def test_it_says_what_was_sold(jobs, shop, calendar):
    sold, withdrawn = [fresh("sold") for _ in range(5)], fresh("withdrawn")
    is_first = iter([True])
    jobs.after("confirm_order", lambda: withdraw(jobs, withdrawn) if next(is_first, False) else None)
    jobs.submit(withdrawn)
    shop.drain()
    assert jobs.ended(withdrawn)["error"]["type"] == "OrderWithdrawn"
    for id in sold:
        jobs.submit(id, jobs.order(id, quantity=2))
    shop.drain()

    early = post(jobs, calendar.today())
    assert (early.status_code, "not over" in early.json()["detail"]) == (400, True)
    so_far = post(jobs, calendar.today(), force=True).json()["id"]
    shop.drain()
    assert "The day was not over" in page_of(jobs.ended(so_far, "sales-report")).text

    day = calendar.next_day()
    accepted = post(jobs, day)
    assert (accepted.status_code, accepted.headers["Location"]) == (202, f"/api/jobs/sales-report/{day}")
    shop.drain()
    done = jobs.ended(day, "sales-report")
    assert (done["status"], done["result"]["orders"]) == ("Completed", len(sold))
    assert done["result"]["totals"] == {"EUR": jobs.balance()} == {"EUR": len(sold) * 2 * PRICE}
    assert (done["result"]["refunds"], done["result"]["net"]) == ({}, done["result"]["totals"]), (
        "what was undone is no refund"
    )
    assert [record["order"] for record in records(done)] == sorted(sold)
    page = page_of(done)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "125.00 EUR" in page.text and jobs.sku.title() in page.text
    assert not any(id in page.text for id in (withdrawn, "Lovelace", "@example.com"))

    again = post(jobs, day)
    assert (again.status_code, again.json()["completedAt"]) == (200, done["completedAt"])

    late = fresh("late")
    jobs.submit(late)
    shop.drain()
    forced = post(jobs, day, force=True)
    assert (forced.status_code, forced.json()["id"] != day) == (202, True)
    shop.drain()
    other = jobs.ended(forced.json()["id"], "sales-report")
    assert other["result"]["html"]["blob"] == f"reports/{other['id']}/sales.html"
    assert other["result"]["totals"] == done["result"]["totals"], "what was sold the day after is no sale of the day"
    assert page_of(jobs.status(day, "sales-report")).text == page.text
    subjects = [mail["subject"] for mail in jobs.sandbox.mailbox(OWNER)["messages"]]
    assert sorted(subjects) == sorted([f"Sales of {day}"] * 3)


def test_every_door_means_the_same_job(jobs, shop, calendar, bus):
    day = calendar.next_day()
    message = json.dumps({"kind": "sales-report", "input": {"day": day}})
    for _ in range(2):
        jobs.put(message)
        bus.send("jobs", ServiceBusMessage(message))
    jobs.put(json.dumps({"kind": "sales-report", "id": day, "input": {"day": day, "force": False}}), "jobs-urgent")
    shop.drain()
    assert post(jobs, day).status_code == 200
    assert jobs.ended(day, "sales-report")["result"]["orders"] == 0
    assert jobs.runs()["merge_report"] == 1
    assert len(jobs.sandbox.mailbox(OWNER)["messages"]) == 1
    refused = jobs.submit("mine", {"day": day}, kind="sales-report")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "id")
    assert "force" in refused.json()["detail"]


def test_a_report_that_fails_can_be_replayed(jobs, shop, calendar, monkeypatch):
    day = calendar.next_day()
    page = sys.modules["activities.reports"].sales_page
    render = page.render

    def broken(*_) -> str:
        raise sys.modules["jobs.errors"].PermanentError("no ink")

    monkeypatch.setattr(page, "render", broken)
    post(jobs, day)
    shop.drain()
    assert jobs.ended(day, "sales-report")["status"] == "Failed"
    monkeypatch.setattr(page, "render", render)
    letters = shop.get("/api/dead-letters", params={"kind": "sales-report"}).json()["deadLetters"]
    (letter,) = (each["id"] for each in letters if each["jobId"] == day)
    shop.post(f"/api/dead-letters/{letter}/replay").raise_for_status()
    shop.drain()
    assert jobs.ended(day, "sales-report")["result"]["orders"] == 0
    assert len(jobs.sandbox.mailbox(OWNER)["messages"]) == 1
