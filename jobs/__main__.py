"""The operator's commands: `python -m jobs stock load samples/stock.json`, `python -m jobs stock list`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError
from pydantic import TypeAdapter, ValidationError

from activities import articles
from jobs import strict_json
from jobs.clients import clients
from jobs.errors import JobError
from jobs.job import invalid


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, or 1 with one line on stderr that says what to do."""
    options = _parser().parse_args(arguments)
    _use_local_settings()
    try:
        asyncio.run(_connected(options))
    except JobError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except AzureError as error:
        print(f"error: storage did not answer ({type(error).__name__}): is Azurite running?", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs", description="Look after the shop's data.")
    nouns = parser.add_subparsers(required=True, metavar="NOUN")
    verbs = nouns.add_parser("stock", help="the articles of the shop").add_subparsers(required=True, metavar="VERB")
    load = verbs.add_parser("load", help="set pieces and prices from a JSON file")
    load.add_argument("file", help="a list of {sku, name, available, price, currency}; - reads from stdin")
    load.set_defaults(run=_load)
    show = verbs.add_parser("list", help="what there is of each article")
    show.add_argument("--json", action="store_true", help="for programs")
    show.set_defaults(run=_list)
    return parser


async def _connected(options: argparse.Namespace) -> None:
    try:
        await clients().provide()
        await options.run(options)
    finally:
        await clients().close()


async def _load(options: argparse.Namespace) -> None:
    content = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    listed = strict_json.loads(content)
    try:
        wanted = TypeAdapter(list[articles.Article]).validate_python(listed)
    except ValidationError as error:
        raise invalid(error, "the list of articles is not right") from None
    for article in wanted:
        await articles.put(article)
    print(f"{len(wanted)} article{'' if len(wanted) == 1 else 's'} loaded")


async def _list(options: argparse.Namespace) -> None:
    rows = [article.model_dump() | {"held": held} async for article, held in articles.on_sale()]
    if options.json:
        print(json.dumps(rows))
    else:
        _print_table(rows)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("SKU", "Name", title="Stock")
    for heading in ("Available", "Held", "Price"):
        table.add_column(heading, justify="right")
    for row in rows:
        price = f"{row['price'] / 100:.2f} {row['currency']}"
        table.add_row(row["sku"], row["name"], str(row["available"]), str(row["held"]), price)
    Console().print(table)


def _use_local_settings() -> None:
    """Take settings from local.settings.json as the host does: what the environment has already, wins."""
    path = Path("local.settings.json")
    if path.exists():
        for name, value in json.loads(path.read_text()).get("Values", {}).items():
            if value is not None:
                os.environ.setdefault(name, value)


if __name__ == "__main__":
    sys.exit(main())
