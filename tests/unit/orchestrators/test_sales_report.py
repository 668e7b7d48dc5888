"""A sales report from submission to end: the real orchestrator and activities, against Azurite and the sandbox."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import aiohttp
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableClient

from activities import articles, closing, reports
from activities.articles import Article
from jobs import intake, ledger, sales, status
from jobs.call import outcome
from jobs.clients import clients
from jobs.job import Envelope, parse
from jobs.sales import Sale
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
        self.id = self.day
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

    async def make(self, **input) -> ledger.Entry:
        job = parse(Envelope(kind="sales-report", id=self.id, input={"day": self.day, **input}))
        await intake.submit(job, self.durable)
        activities = {name: partial(self.perform, work) for name, work in ACTIVITIES.items()}
        self.engine = Engine(report, self.durable.started[job.ref.instance_id], activities)
        self.engine.events = self.events
        await self.engine.run(job.ref.instance_id)
        return await ledger.get("sales-report", job.id)

    async def file(self, name: str, id: str | None = None) -> str:
        blob = await clients().container("reports").download_blob(f"{id or self.id}/{name}")
        return (await blob.readall()).decode()

    async def records(self, id: str | None = None) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(await self.file("sales.csv", id))))

    async def parts(self) -> list[str]:
        return [name async for name in clients().container("reports").list_blob_names(name_starts_with=f"{self.id}/p")]


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


async def test_a_forced_report_lies_beside_the_first(day):
    await day.sell("A-1", ("MUG", 1, 1250))
    await day.make()
    await day.sell("A-2", ("MUG", 1, 1250))
    day.id = "again"
    entry = await day.make(force=True)
    assert entry.result["html"]["blob"] == f"reports/{day.day}.again/sales.html"
    assert len(await day.records(f"{day.day}.again")) == 2
    assert len(await day.records(day.day)) == 1
