"""`show ID`: how far one job is."""

from __future__ import annotations

import argparse

from jobs.commands import api, printed
from jobs.commands.options import DONE, Commands, add_command


def add(commands: Commands) -> None:
    parser = add_command(commands, "show", "how far one job is, and what became of it", run)
    parser.add_argument("id", metavar="ID", help="order/A-1001, or A-1001 if no other kind has this id")


async def run(options: argparse.Namespace) -> int:
    status = await api.find(options.id)
    if options.json:
        printed.as_json(status)
    else:
        printed.as_fields(f"{status['kind']}/{status['id']}", status)
    return DONE
