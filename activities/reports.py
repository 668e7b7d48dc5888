"""The sales report of a day: a part for each shard of its sales, put together as a CSV file and a page, and mailed.

All files of a job are in the container `reports`, in a folder named by the job's id.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import azure.durable_functions as df
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import ContainerClient

from activities import articles, mail
from jobs import clock, money, results, sales, sales_csv, sales_page, sales_totals
from jobs.call import Call, outcome
from jobs.clients import clients
from jobs.sales_totals import Totals
from jobs.settings import settings

blueprint = df.Blueprint()

CONTAINER = "reports"


@blueprint.activity_trigger(input_name="call")
async def find_sales(call: dict) -> dict:
    return await outcome(find, call)


@blueprint.activity_trigger(input_name="call")
async def report_shard(call: dict) -> dict:
    return await outcome(report, call)


@blueprint.activity_trigger(input_name="call")
async def merge_report(call: dict) -> dict:
    return await outcome(merge, call)


@blueprint.activity_trigger(input_name="call")
async def mail_report(call: dict) -> dict:
    return await outcome(tell, call)


@blueprint.activity_trigger(input_name="call")
async def delete_parts(call: dict) -> dict:
    return await outcome(clear, call)


async def find(call: Call) -> list[int]:
    """The shards of the `day` in which there are sales or refunds."""
    return await sales.shards(call.input["day"])


async def report(call: Call) -> dict[str, int]:
    """Write the part of one `shard` of the `day`: its records, and its totals. Returns how many `orders` it has."""
    day, shard = call.input["day"], call.input["shard"]
    totals: Totals = {}

    async def records() -> AsyncIterator[bytes]:
        async for page in sales.pages(day, shard):
            sales_totals.add_entries(totals, page)
            yield sales_csv.records(page)

    await _container().upload_blob(_records(call, shard), records(), overwrite=True)
    await _container().upload_blob(_totals(call, shard), sales_totals.written(totals), overwrite=True)
    return {"orders": sum(sold.whole.orders for sold in totals.values())}


async def merge(call: Call) -> dict[str, Any]:
    """Make the report of the `day` from the parts of its `shards`. Returns what the job's result says of it.

    The records are sorted by the order's id; only an order that was undone, and then replayed, may be a few lines off.
    """
    day, shards = call.input["day"], call.input["shards"]
    totals: Totals = {}
    for shard in shards:
        part = await _container().download_blob(_totals(call, shard))
        sales_totals.add_totals(totals, sales_totals.read(await part.readall()))

    async def records() -> AsyncIterator[bytes]:
        yield sales_csv.header()
        async for block in sales_csv.merged([_pieces(_records(call, shard)) for shard in shards]):
            yield block

    names = await articles.names({sku for sold in totals.values() for sku, _ in sales_page.best_articles(sold)})
    page = sales_page.render(day, totals, names, clock.now()).encode()
    csv, html = f"{call.job.id}/sales.csv", f"{call.job.id}/sales.html"
    await _upload(
        csv, records() if shards else sales_csv.header(), "text/csv", f'attachment; filename="sales-{day}.csv"'
    )
    await _upload(html, page, "text/html", "inline")
    return {
        "day": day,
        "orders": sum(sold.whole.orders for sold in totals.values()),
        "totals": {currency: totals[currency].whole.amount for currency in sorted(totals)},
        "refunds": {
            currency: totals[currency].refunded.amount
            for currency in sorted(totals)
            if totals[currency].refunded.refunds
        },
        "net": {currency: totals[currency].net for currency in sorted(totals)},
        "csv": {"blob": f"{CONTAINER}/{csv}"},
        "html": {"blob": f"{CONTAINER}/{html}"},
    }


async def tell(call: Call) -> None:
    """Mail the links to the report, if somebody is to have them. Input: what `merge` returns."""
    to = settings().report_mail_to
    if to is None:
        return
    day, orders = call.input["day"], call.input["orders"]
    page, csv = [
        await results.link(call.input[file]["blob"], settings().report_link_lifetime) for file in ("html", "csv")
    ]
    lines = [f"Orders: {orders:,}", *_sums(call.input), "", "The report:", page, "", "Its sales as CSV:", csv, ""]
    lines += ["Whoever has these links can read the files, until the links expire, after seven days at the latest."]
    # Of the job and not of its run: one that ended badly after this, and is replayed, has told already.
    key = f"{call.job.kind}-{call.job.id}/{call.step}"
    text = "\n".join(lines) + "\n"
    await mail.deliver(to, f"Sales of {day}", text, key=key, correlation_id=call.job.correlation_id)


def _sums(made: dict[str, Any]) -> Iterator[str]:
    # An older version of the app, which may have made the report, did not subtract.
    refunds = made.get("refunds", {})
    for currency, total in made["totals"].items():
        sold, back, net = (
            f"{money.written(amount, currency, grouped=True)} {currency}"
            for amount in (total, refunds.get(currency, 0), total - refunds.get(currency, 0))
        )
        yield f"{sold}, less {back} refunded: {net} net" if currency in refunds else sold


async def clear(call: Call) -> None:
    """Delete the parts."""
    async for part in _container().list_blob_names(name_starts_with=f"{call.job.id}/parts/"):
        try:
            await _container().delete_blob(part)
        except ResourceNotFoundError:
            continue


async def _upload(name: str, content: bytes | AsyncIterator[bytes], type: str, disposition: str) -> None:
    shown_as = ContentSettings(content_type=f"{type}; charset=utf-8", content_disposition=disposition)
    await _container().upload_blob(name, content, overwrite=True, content_settings=shown_as)


async def _pieces(name: str) -> AsyncIterator[bytes]:
    async for piece in (await _container().download_blob(name)).chunks():
        yield piece


def _records(call: Call, shard: int) -> str:
    return f"{call.job.id}/parts/{shard}.csv"


def _totals(call: Call, shard: int) -> str:
    return f"{call.job.id}/parts/{shard}.json"


def _container() -> ContainerClient:
    return clients().container(CONTAINER)
