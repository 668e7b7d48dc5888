"""A burst of HTTP submissions to a real host, until the last job has ended: `python -m bench.burst`.

The stack of `make run` on free ports (Azurite, Service Bus, sandbox and host, a process each), this process as the
client, which keeps some requests under way at once. The host does the jobs while it accepts more of them. The floor
does the least that any intake must do, with the same SDK on the same Azurite, and nothing else: enter a row in a table,
send a message to a queue.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import aiohttp
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.report import against_aim
from demo.stack import Stack, stack

CLIENTS = 32
"""Requests under way at once, unless told otherwise."""
URGENT = 20
"""Jobs in the middle of the burst that are urgent."""
ARTICLES = 40
RATE_AIM = 0.5
"""Submissions a second over the floor's, which has a process of its own and no HTTP between."""
OVERTAKING_AIM = 0.25
"""The share of the backlog that may end before an urgent job which was accepted after all of it."""
LONGEST_DRAIN = 600.0


@dataclass(slots=True)
class Burst:
    """What became of one burst. Times are seconds."""

    jobs: int
    codes: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """The jobs' ids in the order in which they ended."""
    accepted: list[str] = field(default_factory=list)
    """The same, in the order in which they were accepted."""
    backlogs: dict[str, set[str]] = field(default_factory=dict)
    """Of each urgent job: those that had been accepted and not ended when it was accepted."""
    accepting: float = 0.0
    draining: float = 0.0
    """From the first submission to the last end."""

    @property
    def rate(self) -> float:
        """Submissions a second."""
        return self.jobs / self.accepting

    @property
    def p95(self) -> float:
        """Milliseconds that 95 of 100 submissions took at most."""
        return quantiles(self.latencies, n=20)[-1] * 1000

    @property
    def p50(self) -> float:
        """Milliseconds that half of the submissions took at most."""
        return median(self.latencies) * 1000

    @property
    def backlog(self) -> int:
        """How many jobs had been accepted and not ended when an urgent one was accepted: the median."""
        return int(median(map(len, self.backlogs.values())))

    @property
    def overtaken(self) -> float:
        """The share of the backlog that ended before the urgent job for which it is the backlog: the median."""
        before = {id: self.ended[: self.ended.index(id)] for id in self.backlogs}
        return median(len(backlog & set(before[id])) / max(1, len(backlog)) for id, backlog in self.backlogs.items())


class Log:
    """The host's log, from where it is now on: it tells which jobs have ended, and costs storage nothing."""

    def __init__(self, path: Path) -> None:
        self._lines = path.open("rb")
        self._lines.seek(0, 2)
        self._rest = b""

    def ended(self) -> list[str]:
        """The ids of the jobs that have ended since the last call, in that order."""
        *lines, self._rest = (self._rest + self._lines.read()).split(b"\n")
        found = (json.loads(line[line.index(b"{") :]) for line in lines if b'"outcome"' in line)
        return [said["id"] for said in found]


async def run(stack: Stack, log: Path, kind: str, jobs: int, clients: int = CLIENTS) -> Burst:
    """Submit so many jobs of a kind as fast as they are taken, some urgent ones in their middle, and wait for all."""
    seen, mark, burst = Log(log), uuid4().hex[:6], Burst(jobs)
    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients)) as http:

        async def submit(number: int) -> None:
            id, is_urgent = f"{mark}-{number}", 0 <= number - jobs // 2 < URGENT
            params = {"priority": "urgent"} if is_urgent else {}
            start = time.perf_counter()
            url, headers = f"{stack.app}/api/jobs/{kind}", {"Idempotency-Key": id}
            async with http.post(url, params=params, json=INPUTS[kind](number), headers=headers) as answer:
                await answer.read()
            burst.latencies.append(time.perf_counter() - start)
            burst.codes[answer.status] += 1
            if is_urgent:
                burst.ended += seen.ended()
                burst.backlogs[id] = set(burst.accepted) - set(burst.ended)
            burst.accepted.append(id)

        await at_once(submit, jobs, clients)
    burst.accepting = time.perf_counter() - began
    while len(burst.ended) < burst.codes[202]:
        if time.perf_counter() - began > LONGEST_DRAIN:
            raise TimeoutError(f"{len(burst.ended)} of {jobs} {kind} jobs had ended after {LONGEST_DRAIN:.0f} s")
        await asyncio.sleep(0.1)
        burst.ended += seen.ended()
    burst.draining = time.perf_counter() - began
    return burst


async def floor(connection_string: str, jobs: int, clients: int = CLIENTS) -> float:
    """Rows and messages a second: one of each for a job, by the SDK's clients."""
    name = f"floor{uuid4().hex[:8]}"
    async with (
        TableServiceClient.from_connection_string(connection_string) as tables,
        QueueServiceClient.from_connection_string(connection_string) as queues,
    ):
        table, queue = await tables.create_table(name), await queues.create_queue(name)

        async def enter(number: int) -> None:
            row = {"PartitionKey": "analytics", "RowKey": str(number), "state": "Pending", "digest": "0" * 64}
            await table.create_entity(row)
            await queue.send_message(json.dumps({"kind": "analytics", "id": str(number), "input": {"event": "seen"}}))

        began = time.perf_counter()
        await at_once(enter, jobs, clients)
        seconds = time.perf_counter() - began
        await queues.delete_queue(name)
        await tables.delete_table(name)
    return jobs / seconds


async def at_once(act: Callable[[int], Awaitable[None]], count: int, most: int) -> None:
    """`act` on each number below `count`, in order, on `most` of them at once."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await act(number)

    await asyncio.gather(*(some() for _ in range(most)))


def order(number: int) -> dict[str, Any]:
    """An order for one of many articles, since all orders for one article wait for its row."""
    customer = {"id": f"c-{number}", "name": "Ada Lovelace", "email": "ada@example.com", "address": "London"}
    line = {"sku": f"BURST-{number % ARTICLES}", "quantity": 1}
    return {"customer": customer, "card": "tok_visa", "currency": "EUR", "lines": [line]}


INPUTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "analytics": lambda number: {"event": "seen", "properties": {"number": number}},
    "mail": lambda number: {"to": f"c-{number}@example.com", "subject": "Hello", "text": "Good evening"},
    "order": order,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when every submission was accepted and every job ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.burst", description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(INPUTS)} (default: analytics)")
    parser.add_argument("--jobs", type=int, default=2000, help="submissions of each kind (default: 2000)")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"requests at once (default: {CLIENTS})")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    console = Console(width=None if sys.stdout.isatty() else 120)
    with TemporaryDirectory() as folder:
        log = Path(folder) / "host.log"
        with stack(logs=Path(folder), host_log=log) as running:
            _stock(running, Path(folder) / "stock.json", options.jobs)
            bursts, floors = asyncio.run(_measure(running, log, options))
    _print(bursts, floors, options.clients, console)
    return 0 if all(set(burst.codes) == {202} for burst in bursts.values()) else 1


def _stock(stack: Stack, file: Path, jobs: int) -> None:
    """Enough of every article."""
    about = {"price": 1000, "currency": "EUR", "available": jobs}
    articles = [{"sku": f"BURST-{number}", "name": f"Article {number}", **about} for number in range(ARTICLES)]
    file.write_text(json.dumps(articles))
    stack.jobs("stock", "load", str(file))


async def _measure(stack: Stack, log: Path, options: argparse.Namespace) -> tuple[dict[str, Burst], list[float]]:
    """The floor before and after, since a busy spell of the machine may fall on one of them."""
    jobs, clients = options.jobs, options.clients
    floors = [await floor(stack.connection_string, jobs, clients)]
    bursts = {kind: await run(stack, log, kind, jobs, clients) for kind in options.kinds or ["analytics"]}
    floors.append(await floor(stack.connection_string, jobs, clients))
    return bursts, floors


def _print(bursts: dict[str, Burst], floors: list[float], clients: int, console: Console) -> None:
    base = sum(floors) / len(floors)
    table = Table(box=SIMPLE_HEAD, title=f"Bursts over HTTP, {clients} requests at once, {URGENT} urgent in the middle")
    table.add_column("kind", no_wrap=True)
    columns = ("202", "other\nanswers", "jobs/s\naccepted", "of the\nfloor", "p50\nms", "p95\nms", "last one\nended s")
    for column in (*columns, "backlog", "of it before\nthe urgent"):
        table.add_column(column, justify="right")
    for kind, burst in bursts.items():
        accepted, ratio = burst.codes[202], burst.rate / base
        table.add_row(
            kind,
            f"{accepted:,}",
            f"{burst.jobs - accepted:,}",
            f"{burst.rate:,.0f}",
            against_aim(f"{ratio:.2f}", f"≥{RATE_AIM}", ratio >= RATE_AIM),
            f"{burst.p50:,.0f}",
            f"{burst.p95:,.0f}",
            f"{burst.draining:,.1f}",
            f"{burst.backlog:,}",
            against_aim(f"{burst.overtaken:.0%}", f"≤{OVERTAKING_AIM:.0%}", burst.overtaken <= OVERTAKING_AIM),
        )
    console.print(table)
    console.print(
        f"The floor, one table row and one queue message each by the same SDK: {base:,.0f} a second "
        f"({' and '.join(f'{each:,.0f}' for each in floors)}, before and after).\n"
        "Backlog: jobs that were accepted and not ended when an urgent one was; and what of it ended before that one."
    )


if __name__ == "__main__":
    sys.exit(main())
