"""The shop's articles, as its owner sets and sees them; `activities.stock` sells them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Annotated

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from pydantic import Field

from activities.stock import HELD, STOCK
from jobs.clients import clients
from jobs.inputs import Currency, Input, Sku, Text


class Article(Input):
    """What is sold, what it costs in minor units of the currency, and how many pieces are free."""

    sku: Sku
    name: Text
    available: Annotated[int, Field(ge=0, le=1_000_000_000)]
    price: Annotated[int, Field(gt=0, le=10_000_000)]
    currency: Currency


async def put(article: Article) -> None:
    """Set an article. Reservations stay as they are, and keep the price they were made at."""
    row = article.model_dump() | {"PartitionKey": article.sku, "RowKey": STOCK}
    await clients().table("stock").upsert_entity(row, mode=UpdateMode.REPLACE)


async def names(skus: Iterable[str]) -> dict[str, str]:
    """The names of articles by sku; those that the shop no longer has are left out."""
    return {sku: name for sku, name in await asyncio.gather(*map(_named, skus)) if name is not None}


async def on_sale() -> AsyncIterator[tuple[Article, int]]:
    """Every article, by sku, and how many pieces orders hold of it."""
    held: dict[str, int] = defaultdict(int)
    articles: list[Article] = []
    async for row in clients().table("stock").list_entities():
        if row["RowKey"] == STOCK:
            articles.append(Article(**{name: row[name] for name in Article.model_fields}))
        elif row["state"] == HELD:
            held[row["PartitionKey"]] += row["quantity"]
    for article in articles:
        yield article, held[article.sku]


async def _named(sku: str) -> tuple[str, str | None]:
    try:
        return sku, (await clients().table("stock").get_entity(sku, STOCK, select=["name"]))["name"]
    except ResourceNotFoundError:
        return sku, None
