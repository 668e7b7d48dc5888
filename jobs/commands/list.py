"""`list`: the jobs there are."""

from __future__ import annotations

import argparse
import sys

from jobs.commands import api, printed
from jobs.commands.options import DONE, Commands, add_command, count, moment

LARGEST_PAGE = 1000


def add(commands: Commands) -> None:
    parser = add_command(commands, "list", "the jobs there are, by kind and id", run)
    parser.add_argument("--kind", help="only jobs of this kind")
    parser.add_argument(
        "--status", help="only jobs in this state: Pending, Running, Waiting, Completed, Failed or Cancelled"
    )
    parser.add_argument("--since", type=moment, help="only jobs submitted then or later: 2026-11-22T10:00:00Z, or 2h")
    parser.add_argument("--top", type=count, default=50, help="so many at most (50)")


async def run(options: argparse.Namespace) -> int:
    given = {"kind": options.kind, "status": options.status, "since": options.since}
    query = {name: value for name, value in given.items() if value is not None}
    found = []
    while (missing := options.top - len(found)) > 0:
        page = await api.ask("GET", "/api/jobs", **query, top=str(min(missing, LARGEST_PAGE)))
        found += page["jobs"]
        damaged = (f"{job} cannot be read: its row in the table jobs is damaged" for job in page.get("damaged", []))
        printed.as_lines(damaged, file=sys.stderr)
        if "continuationToken" not in page:
            break
        query["continuationToken"] = page["continuationToken"]
    else:
        print(f"{options.top} shown, and there may be more: --top takes a larger number", file=sys.stderr)
    if options.json:
        printed.as_json(found)
    else:
        rows = [
            (
                f"{job['kind']}/{job['id']}",
                job["status"],
                job["submittedAt"],
                job["waitSeconds"],
                job["runSeconds"],
                job.get("error", {}).get("type"),
            )
            for job in found
        ]
        printed.as_table("Jobs", ("Job", "Status", "Submitted", "Waited (s):", "Ran (s):", "Error"), rows)
    return DONE
