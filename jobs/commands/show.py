"""`show ID`: how far one job is."""

from __future__ import annotations

import argparse
from typing import Any

from jobs.commands import api, printed
from jobs.commands.options import DONE, Commands, add_command


def add(commands: Commands) -> None:
    parser = add_command(commands, "show", "how far one job is, and what became of it", run)
    parser.add_argument("id", metavar="ID", help="order/A-1001, or A-1001 if no other kind has this id")


async def run(options: argparse.Namespace) -> int:
    status = await api.find(options.id)
    if options.json:
        printed.as_json(status)
        return DONE
    links: list[str] = []
    printed.as_fields(f"{status['kind']}/{status['id']}", _without_links(status, links))
    # One a line and unbroken, so that it can be copied.
    printed.as_lines(links)
    return DONE


def _without_links(value: Any, links: list[str]) -> Any:
    """The value, its links taken out and put into the list."""
    if isinstance(value, list):
        return [_without_links(each, links) for each in value]
    if not isinstance(value, dict):
        return value
    links += [value[name] for name in ("url", "resultUrl") if isinstance(value.get(name), str)]
    return {name: _without_links(each, links) for name, each in value.items() if name not in ("url", "resultUrl")}
