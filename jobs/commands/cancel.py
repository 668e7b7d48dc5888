"""`cancel ID`: ask a job to stop."""

from __future__ import annotations

import argparse

from jobs.commands import api, printed
from jobs.commands.options import DONE, Commands, add_command

CODES = "0 it was asked to, and `wait` tells whether it did in time; 1 it is too late, or not possible"


def add(commands: Commands) -> None:
    parser = add_command(commands, "cancel", "ask a job to stop and to undo what it did", run, CODES)
    parser.add_argument("id", metavar="ID", help="order/A-1001, or A-1001 if no other kind has this id")


async def run(options: argparse.Namespace) -> int:
    kind, slash, id = options.id.partition("/")
    if not slash:
        found = await api.find(options.id)
        kind, id = found["kind"], found["id"]
    status = await api.ask("POST", f"{api.path_of(kind, id)}/cancel")
    if options.json:
        printed.as_json(status)
    else:
        print(f"{kind}/{id} was asked to stop: it is {status['status']}")
    return DONE
