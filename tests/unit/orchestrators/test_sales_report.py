"""A sales report from submission to end: the real orchestrator and activities, against Azurite and the sandbox."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from datetime import datetime
from functools import partial
from uuid import uuid4

import aiohttp
import pytest
from azure.core.exceptions import ServiceRequestError

from activities import articles, closing, reports
from activities.articles import Article
from jobs import intake, ledger, sales, status
from jobs.call import outcome
from jobs.clients import clients
from jobs.job import Envelope, parse
from jobs.sales import PaidRefund, Sale
from jobs.settings import settings
from orchestrators.sales_report import report
from tests.orders import article
from tests.unit.orchestrators.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

ACTIVITIES = {
    "find_sales": reports.find,
    "report_shard": reports.report,
    "merge_report": reports.merge,
    "mail_report": reports.tell,
    "delete_parts": reports.clear,
    "end_job": closing.end,
}


class Reports:
    """Reports of one day that no other test has sales on."""

    def __init__(self, durable, world):
        self.durable, self.world = durable, world
        number = int(uuid4().hex[:6], 16) % 45_000
        self.day = datetime.fromordinal(693_596 + number).date().isoformat()
        self.again: str | None = None
        self.perform = outcome
        self.events: dict[str, str] = {}

    async def sell(self, id: str, *lines: tuple[str, int, int], currency: str = "EUR", hour: int = 12) -> Sale:
        """An order that was sold: sku, quantity, price."""
        named = [dict(zip(("sku", "quantity", "price"), line, strict=True)) for line in lines]
        total = sum(line["quantity"] * line["price"] for line in named)
        at = datetime.fromisoformat(f"{self.day}T{hour:02}:30:00+00:00")
        sale = Sale(id, f"order-{id}", self.day, at, total, currency, named)
        await sales.enter(sale)
        return sale

    async def give_back(self, order: str, refund: str, amount: int, currency: str = "EUR") -> None:
        """A refund that was paid."""
        at = datetime.fromisoformat(f"{self.day}T20:00:00+00:00")
        await sales.enter(
            PaidRefund(order, f"order-{order}", refund, f"refund-{refund}", self.day, at, amount, currency)
        )

    async def make(self, **input) -> ledger.Entry:
        job = parse(Envelope(kind="sales-report", id=self.again or self.day, input={"day": self.day, **input}))
        await intake.submit(job, self.durable)
        activities = {name: partial(self.perform, work) for name, work in ACTIVITIES.items()}
        self.engine = Engine(report, self.durable.started[job.ref.instance_id], activities)
        self.engine.events = self.events
        await self.engine.run(job.ref.instance_id)
        return await ledger.get("sales-report", job.id)

    async def file(self, name: str, id: str | None = None) -> str:
        blob = await clients().container("reports").download_blob(f"{id or self.day}/{name}")
        return (await blob.readall()).decode()

    async def records(self, id: str | None = None) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(await self.file("sales.csv", id))))

    async def parts(self) -> list[str]:
        return [
            name async for name in clients().container("reports").list_blob_names(name_starts_with=f"{self.day}/parts/")
        ]


@pytest.fixture
def day(durable, world) -> Reports:
    return Reports(durable, world)


async def test_the_report_of_a_day(day):
    for number in range(12):
        await day.sell(f"A-{number:02}", ("MUG", 2, 1250), ("TEA", 1, 499), hour=number)
    await day.sell("B-1", ("MUG", 1, 900), currency="JPY")
    withdrawn = await day.sell("C-1", ("MUG", 1, 1250))
    await sales.strike_out(withdrawn.day, withdrawn.order_id, withdrawn.instance_id)
    entry = await day.make()
    assert (entry.state, entry.result) == (
        "Completed",
        {
            "day": day.day,
            "orders": 13,
            "totals": {"EUR": 12 * 2999, "JPY": 900},
            "refunds": {},
            "net": {"EUR": 12 * 2999, "JPY": 900},
            "csv": {"blob": f"reports/{day.day}/sales.csv"},
            "html": {"blob": f"reports/{day.day}/sales.html"},
        },
    )
    records = await day.records()
    assert [record["order"] for record in records] == [f"A-{n // 2:02}" for n in range(24)] + ["B-1"]
    assert [records[0][name] for name in ("sku", "quantity", "price", "amount", "currency")] == [
        "MUG",
        "2",
        "12.50",
        "25.00",
        "EUR",
    ]
    assert [records[24][name] for name in ("price", "currency")] == ["900", "JPY"]
    assert "359.88 EUR" in await day.file("sales.html")
    assert await day.parts() == []


async def test_a_day_without_sales(day):
    entry = await day.make()
    assert (entry.state, entry.result["orders"], entry.result["totals"]) == ("Completed", 0, {})
    assert await day.records() == []
    assert "No orders were sold on this day" in await day.file("sales.html")
    assert [name for name, _ in day.engine.calls] == ["find_sales", "merge_report", "mail_report", "end_job"]


async def test_refunds_are_subtracted_and_are_no_orders(day, monkeypatch):
    monkeypatch.setenv("REPORT_MAIL_TO", "owner@example.com")
    settings.cache_clear()
    for id, currency in (("A-1", "EUR"), ("A-15", "EUR"), ("A-2", "JPY")):  # the first two are of one shard
        await day.sell(id, ("MUG", 2, 1250), currency=currency)
    for _ in range(2):
        await day.give_back("A-1", "R-2", 500)
    await day.give_back("A-1", "R-1", 1000)
    await day.give_back("Of-an-earlier-day", "R-3", 1500, "KWD")
    entry = await day.make()
    assert [entry.result[name] for name in ("orders", "totals", "refunds", "net")] == [
        3,
        {"EUR": 5000, "JPY": 2500, "KWD": 0},
        {"EUR": 1500, "KWD": 1500},
        {"EUR": 3500, "JPY": 2500, "KWD": -1500},
    ]
    assert [(record["order"], record["amount"], record["refund"]) for record in await day.records()] == [
        ("A-1", "25.00", ""),
        ("A-1", "-10.00", "R-1"),
        ("A-1", "-5.00", "R-2"),
        ("A-15", "25.00", ""),
        ("A-2", "2500", ""),
        ("Of-an-earlier-day", "-1.500", "R-3"),
    ]
    (mail,) = day.world.mailbox("owner@example.com")["messages"]
    assert mail["text"].splitlines()[:4] == [
        "Orders: 3",
        "50.00 EUR, less 15.00 EUR refunded: 35.00 EUR net",
        "2,500 JPY",
        "0.000 KWD, less 1.500 KWD refunded: -1.500 KWD net",
    ]


async def test_what_an_older_version_has_made_is_told_as_it_is(day, monkeypatch):
    """Its report was made while the app was updated: it does not know of refunds."""
    monkeypatch.setenv("REPORT_MAIL_TO", "owner@example.com")
    settings.cache_clear()
    merge = reports.merge

    async def older(call):
        return {name: value for name, value in (await merge(call)).items() if name not in ("refunds", "net")}

    monkeypatch.setitem(ACTIVITIES, "merge_report", older)
    await day.sell("A-1", ("MUG", 1, 1250))
    assert (await day.make()).state == "Completed"
    (mail,) = day.world.mailbox("owner@example.com")["messages"]
    assert "12.50 EUR" in mail["text"].splitlines()


async def test_a_forced_report_lies_beside_the_first(day):
    await day.sell("A-1", ("MUG", 1, 1250))
    await day.make()
    await day.sell("A-2", ("MUG", 1, 1250))
    day.again = "again"
    entry = await day.make(force=True)
    assert entry.result["html"]["blob"] == f"reports/{day.day}.again/sales.html"
    assert len(await day.records(f"{day.day}.again")) == 2
    assert len(await day.records(day.day)) == 1


async def twice(work, arguments):
    await outcome(work, arguments)
    return await outcome(work, arguments)


async def test_every_activity_may_run_twice(day, monkeypatch):
    monkeypatch.setenv("REPORT_MAIL_TO", "owner@example.com")
    settings.cache_clear()
    await day.sell("A-1", ("MUG", 1, 1250))
    day.perform = twice
    entry = await day.make()
    assert (entry.state, entry.result["totals"], len(await day.records())) == ("Completed", {"EUR": 1250}, 1)
    assert len(day.world.mailbox("owner@example.com")["messages"]) == 1


def failing(monkeypatch, day, times: int) -> None:
    """Storage does not answer so many of those who read one shard."""
    pages, left = sales.pages, [times]

    async def away(of, shard):
        if of == day.day and left[0]:
            left[0] -= 1
            raise ServiceRequestError("connection refused")
        async for page in pages(of, shard):
            yield page

    monkeypatch.setattr(sales, "pages", away)


async def test_a_shard_that_fails_is_tried_again(day, monkeypatch):
    await day.sell("A-1", ("MUG", 1, 1250))
    failing(monkeypatch, day, times=2)
    entry = await day.make()
    assert (entry.state, entry.result["orders"]) == ("Completed", 1)
    assert [name for name, _ in day.engine.calls].count("report_shard") == 3


async def test_a_report_without_one_of_its_shards_is_none(day, monkeypatch):
    for number in range(12):
        await day.sell(f"A-{number}", ("MUG", 1, 1250))
    failing(monkeypatch, day, times=6 * 4 - 1)
    entry = await day.make()
    assert (entry.state, entry.error["type"], entry.error["retryable"]) == ("Failed", "StorageUnavailable", True)
    assert [name async for name in clients().container("reports").list_blob_names(name_starts_with=day.day)] == []


async def test_a_cancelled_report_leaves_nothing_behind(day):
    await day.sell("A-1", ("MUG", 1, 1250))
    day.events = {"report_shard": "cancel"}
    assert (await day.make()).state == "Cancelled"
    assert [name async for name in clients().container("reports").list_blob_names(name_starts_with=day.day)] == []


async def test_the_mail_has_links_that_work_and_nobody_elses_name(day, monkeypatch):
    monkeypatch.setenv("REPORT_MAIL_TO", "owner@example.com")
    settings.cache_clear()
    await day.sell("A-1", ("MUG", 1, 1250))
    await day.make()
    (mail,) = day.world.mailbox("owner@example.com")["messages"]
    assert mail["subject"] == f"Sales of {day.day}"
    assert "12.50 EUR" in mail["text"]
    page, table = (line for line in mail["text"].split() if line.startswith("http"))
    async with aiohttp.ClientSession() as http:
        async with http.get(page) as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "12.50 EUR" in await answer.text()
        async with http.get(table) as answer:
            assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
            assert answer.headers["Content-Disposition"] == f'attachment; filename="sales-{day.day}.csv"'
    assert "sig=" not in str(day.engine.history)


async def test_a_mail_that_fails_leaves_the_report(day, monkeypatch):
    monkeypatch.setenv("REPORT_MAIL_TO", "owner@example.com")
    settings.cache_clear()
    day.world.fault({"when": {"operation": "mail", "recipient": "owner@example.com"}, "fault": "decline"})
    entry = await day.make()
    assert (entry.state, entry.result["incomplete"]["mail_report"]["type"]) == ("Completed", "MailRefused")


async def test_articles_are_named_and_names_are_text(day):
    sku, gone = f"A{uuid4().hex[:12].upper()}", f"B{uuid4().hex[:12].upper()}"
    await articles.put(Article(**article(sku, 1) | {"name": "<script>alert(1)</script>"}))
    await day.sell("A-1", (sku, 1, 1250), (gone, 1, 1250))
    await day.make()
    page = await day.file("sales.html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script" not in page
    assert gone in page


async def test_the_history_does_not_grow_with_the_orders(day, monkeypatch):
    monkeypatch.setattr(sales, "PAGE", 5)
    await asyncio.gather(*(day.sell(f"A-{number:03}", (f"SKU-{number}", 1, 100)) for number in range(60)))
    entry = await day.make()
    assert (entry.result["orders"], len(await day.records())) == (60, 60)
    assert [record["order"] for record in await day.records()] == [f"A-{number:03}" for number in range(60)]
    assert len(day.engine.history) < 60 and len(json.dumps(day.engine.history)) < 40_000


async def test_a_status_has_the_links(day, durable):
    entry = await day.make()
    listed, shown = await status.describe(entry, None), await status.describe(entry, durable)
    assert set(listed["result"]["csv"]) == {"blob", "url"}
    assert set(shown["result"]["html"]) == {"blob", "url"}
    async with aiohttp.ClientSession() as http, http.get(shown["result"]["html"]["url"]) as answer:
        assert "No orders were sold" in await answer.text()
    assert set(entry.result["html"]) == {"blob"}, "a link lives too short a time to be kept"
