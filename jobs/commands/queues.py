"""`queues`: what waits in each queue, for how long, and how many instances it calls for."""

from __future__ import annotations

import argparse
import sys

from jobs.commands import api, printed
from jobs.commands.options import DONE, NOT_DONE, Commands, add_command
from jobs.scaling import instances_wanted

CODES = "0 done; 1 not done, or a queue could not be looked into: a line on stderr says which"


def add(commands: Commands) -> None:
    add_command(commands, "queues", "what waits in each queue, and how many instances it calls for", run, CODES)


async def run(options: argparse.Namespace) -> int:
    answer = await api.ask("GET", "/api/queues")
    found = [each | {"instancesWanted": instances_wanted(each["queue"], each["depth"])} for each in answer["queues"]]
    missing = answer["missing"]
    if options.json:
        printed.as_json(found)
    else:
        rows = [
            (
                each["queue"],
                f"{each['depth']} or more" if each["isMore"] else each["depth"],
                each["oldestSeconds"],
                each["instancesWanted"],
            )
            for each in found
        ]
        printed.as_table("Queues", ("Queue", "Waiting:", "Oldest (s):", "Instances wanted:"), rows)
    if missing:
        print(f"error: no answer about {', '.join(missing)}: is the Service Bus running?", file=sys.stderr)
    return NOT_DONE if missing else DONE
