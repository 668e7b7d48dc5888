"""Imports of orders through a real host, checked row by row: `python -m bench.order_import`.

The stack of `make run` on free ports, a new one for each file: Azurite and the Service Bus in memory, the sandbox, and
the host, each a process. The orders are accepted and not done: they would begin at one in a thousand seconds, so that
only the import is measured.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.process import memory_bytes
from bench.report import against_aim
from bench.workload import WrongResultError
from demo.stack import Stack, stack
from jobs import uploads

SIZES = (1_000, 5_000, 20_000)
BAD = 137 / 20_000
"""The share of rows that are bad."""
WARM_UP = 50
FLAT_AIM = 1.5
"""The time of a row in the largest file over that in the smallest."""
MEMORY_AIM_MB = 300
HISTORY_AIM = 1_000
LONGEST = 3600.0


@dataclass(frozen=True)
class File:
    """A file of orders: CSV, and the lines that are bad."""

    name: str
    content: bytes
    rows: int
    bad: frozenset[int]

    @property
    def good(self) -> set[str]:
        """The ids that its orders must have."""
        identity = sha256(self.name.encode()).hexdigest()[:16]
        return {f"{identity}-{line:07}" for line in range(2, self.rows + 2) if line not in self.bad}


@dataclass(frozen=True)
class Run:
    """One import. `events`: of the instance that has the most. `idle`, `peak`: the host's resident set, in bytes."""

    rows: int
    bad: int
    seconds: float
    cpu: float
    """Seconds of the host."""
    floor: float
    """Seconds that a bare loop of the SDK took to insert as many rows on the same Azurite, 100 to a transaction."""
    idle: int
    peak: int
    events: int
    instances: int

    @property
    def ms_per_row(self) -> float:
        return self.seconds / self.rows * 1000

    @property
    def over_idle(self) -> float:
        """MB that the host took at most beyond what it had before."""
        return (self.peak - self.idle) / 1e6


class Memory:
    """The highest resident set of a process inside the block."""

    def __init__(self, process_id: int) -> None:
        self._process_id = process_id
        self._ends = threading.Event()
        self.idle = self.peak = memory_bytes(process_id)

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ends.wait(0.02):
            self.peak = max(self.peak, memory_bytes(self._process_id))


def make_file(rows: int, name: str) -> File:
    """A file with its share of bad rows, whose quoted fields have commas, quotes and characters of several bytes."""
    chosen = random.Random(rows).sample(range(2, rows + 2), round(rows * BAD))
    bad = dict(zip(chosen, _faults(), strict=False))
    lines = ["customerId,name,email,address,card,currency,items"]
    for line in range(2, rows + 2):
        values = {
            "customer": f"{name}-{line}",
            "name": f'"Ada ""{line}"" Byron"',
            "email": f"c{line}@example.com",
            "address": f'"{line} Analytical Row, Nürnberg"',
            "card": f"tok_{line}",
            "currency": "EUR",
            "items": "LAMP-MOON:1;TEA-LINDEN:2",
        } | bad.get(line, {})
        lines.append(",".join(values.values()))
    return File(f"{name}.csv", "\r\n".join(lines).encode(), rows, frozenset(chosen))


def _faults() -> Iterator[dict[str, str]]:
    while True:
        yield {"email": "nobody at all"}
        yield {"items": "LAMP-MOON"}
        yield {"currency": "=1+1"}
        yield {"name": '"', "email": '"x'}


def measure(rows: int, folder: Path) -> Run:
    """Import one file through a new stack. Raises WrongResultError when a row is lost, doubled or wrongly reported."""
    with stack(logs=folder, host_log=folder / "host.log") as running:
        host = _host()
        # What the first import imports of modules and opens of links belongs to no row.
        _take(running, make_file(WARM_UP, "warm-up"))
        file = make_file(rows, f"bench-{rows}")
        began = host.cpu_times()
        with Memory(host.pid) as memory:
            status = _take(running, file)
        ended = host.cpu_times()
        _check(running, file, status)
        events, instances = _histories(host)
        cpu = ended.user + ended.system - began.user - began.system
        return Run(
            rows,
            len(file.bad),
            status["runSeconds"],
            cpu,
            _floor(running, rows),
            memory.idle,
            memory.peak,
            events,
            instances,
        )


def _host() -> psutil.Process:
    """The process of the host, which the stack has just started."""
    (found,) = (each for each in psutil.Process().children() if {"devhost", "--task-hub"} <= set(each.cmdline()))
    return found


def _take(running: Stack, file: File) -> dict[str, Any]:
    """Upload a file, and wait until its import has ended: its status. Raises WrongResultError."""
    with BlobServiceClient.from_connection_string(running.connection_string) as service:
        etag = service.get_blob_client("order-imports", file.name).upload_blob(file.content)["etag"]
    # The job that the blob trigger starts.
    path = f"/api/jobs/order-import/{uploads.message('order-imports', file.name, etag)['id']}"
    deadline = time.monotonic() + LONGEST
    with httpx.Client(base_url=running.app, timeout=60) as http:
        while time.monotonic() < deadline:
            answer = http.get(path)
            if answer.status_code == 200 and answer.json()["completedAt"]:
                return answer.json()
            time.sleep(0.2)
    raise WrongResultError(f"the import of {file.name} did not end within {LONGEST:.0f} s")


def _check(running: Stack, file: File, status: dict[str, Any]) -> None:
    result = status.get("result") or {}
    expected = {"rows": file.rows, "accepted": len(file.good), "orderedBefore": 0, "bad": len(file.bad)}
    if status["status"] != "Completed" or result.items() < expected.items():
        raise WrongResultError(f"{file.name}: {status}")
    with BlobServiceClient.from_connection_string(running.connection_string) as service:
        container, _, name = result["report"]["blob"].partition("/")
        report = service.get_blob_client(container, name).download_blob().readall().decode()
    lines = {int(row["line"]) for row in csv.DictReader(report.splitlines())}
    if lines != file.bad:
        raise WrongResultError(f"{file.name}: {len(lines)} lines reported instead of {len(file.bad)}, or others")
    with TableServiceClient.from_connection_string(running.connection_string) as service:
        rows = service.get_table_client("jobs").query_entities("PartitionKey eq 'order'", select=["RowKey"])
        prefix = min(file.good).partition("-")[0]
        entered = [row["RowKey"] for row in rows if row["RowKey"].startswith(prefix)]
    if len(entered) != len(file.good) or set(entered) != file.good:
        raise WrongResultError(f"{file.name}: {len(entered)} orders in the ledger, and {len(file.good)} good rows")


def _floor(running: Stack, rows: int) -> float:
    """Seconds for the least that an import must do. Azurite looks through the partition for each row it inserts."""
    with TableServiceClient.from_connection_string(running.connection_string) as service:
        table = service.create_table("floor")
        began = time.perf_counter()
        for first in range(0, rows, 100):
            some = range(first, min(first + 100, rows))
            table.submit_transaction(
                ("create", {"PartitionKey": "order", "RowKey": f"{row:024}", "state": "Pending", "digest": "0" * 64})
                for row in some
            )
        return time.perf_counter() - began


def _histories(host: psutil.Process) -> tuple[int, int]:
    """The events of the instance that has the most, and how many instances there are."""
    command = host.cmdline()
    with sqlite3.connect(command[command.index("--task-hub") + 1]) as hub:
        sums = hub.execute("SELECT sum(json_array_length('[' || events || ']')) FROM history GROUP BY instance")
        counted = [number for (number,) in sums]
    return max(counted), len(counted)


def print_report(runs: Sequence[Run], console: Console) -> None:
    """Print the table."""
    table = Table(box=SIMPLE_HEAD, title="Imports of orders: one host, Azurite and Service Bus in memory")
    titles = ("rows", "bad", "seconds", "ms a row", "bare inserts\nms a row", "host's CPU\nms a row", "MB over idle")
    for title in (*titles, "most events\n(instances)"):
        table.add_column(title, justify="right")
    first = runs[0]
    for run in runs:
        ratio = run.ms_per_row / first.ms_per_row
        per_row = f"{run.ms_per_row:.2f}"
        if run is not first:
            per_row = against_aim(f"{per_row}, {ratio:.2f}x", f"≤{FLAT_AIM}", ratio <= FLAT_AIM)
        table.add_row(
            f"{run.rows:,}",
            f"{run.bad:,}",
            f"{run.seconds:.1f}",
            per_row,
            f"{run.floor / run.rows * 1000:.2f}",
            f"{run.cpu / run.rows * 1000:.2f}",
            against_aim(f"{run.over_idle:.0f}", f"<{MEMORY_AIM_MB}", run.over_idle < MEMORY_AIM_MB),
            against_aim(f"{run.events} ({run.instances})", f"<{HISTORY_AIM:,}", run.events < HISTORY_AIM),
        )
    console.print(table)
    console.print(
        "From the start of the job to its end; the host's memory at its highest. In each file every bad line was\n"
        "reported and no other, and every good row is one row of the ledger. Hardly any order is done meanwhile.\n"
        "Azurite takes longer for a row the more there are: bare inserts are a loop of the SDK on the same Azurite."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when the measurement was made, whatever it says."""
    parser = argparse.ArgumentParser(prog="python -m bench.order_import", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes of the files")
    options = parser.parse_args(arguments)
    os.environ["IMPORT_ORDERS_PER_SECOND"] = "0.001"
    console = Console(width=None if sys.stdout.isatty() else 120)
    runs = []
    for rows in options.rows:
        with TemporaryDirectory() as folder:
            runs.append(measure(rows, Path(folder)))
            console.print(f"{rows:,} rows: {runs[-1].ms_per_row:.2f} ms a row", highlight=False)
    print_report(runs, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
