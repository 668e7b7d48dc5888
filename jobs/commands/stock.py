"""`stock load FILE`, `stock list`: the articles of the shop."""

from __future__ import annotations

import argparse

from pydantic import TypeAdapter, ValidationError

from activities import articles
from jobs import strict_json
from jobs.clients import clients
from jobs.commands import printed
from jobs.commands.files import read
from jobs.commands.options import DONE, Commands, add_command
from jobs.job import invalid


def add(commands: Commands) -> None:
    verbs = commands.add_parser("stock", help="the articles of the shop").add_subparsers(required=True, metavar="VERB")
    parser = add_command(verbs, "load", "set pieces and prices from a JSON file", load)
    parser.add_argument("file", help="a list of {sku, name, available, price, currency}; - reads from stdin")
    add_command(verbs, "list", "what there is of each article", show)


async def load(options: argparse.Namespace) -> int:
    listed = strict_json.loads(read(options.file))
    try:
        wanted = TypeAdapter(list[articles.Article]).validate_python(listed)
    except ValidationError as error:
        raise invalid(error, "the list of articles is not right") from None
    await clients().provide()
    for article in wanted:
        await articles.put(article)
    if options.json:
        printed.as_json({"loaded": len(wanted)})
    else:
        print(f"{len(wanted)} article{'' if len(wanted) == 1 else 's'} loaded")
    return DONE


async def show(options: argparse.Namespace) -> int:
    await clients().provide()
    rows = [article.model_dump() | {"held": held} async for article, held in articles.on_sale()]
    if options.json:
        printed.as_json(rows)
    else:
        cells = [
            (row["sku"], row["name"], row["available"], row["held"], f"{row['price'] / 100:.2f} {row['currency']}")
            for row in rows
        ]
        printed.as_table("Stock", ("SKU", "Name", "Available:", "Held:", "Price:"), cells)
    return DONE
