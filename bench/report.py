"""The table: every contestant's figures beside each other, what devhost makes of each peer, and the aims."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.workload import Measurement

TITLES = {"floor": "floor", "devhost": "devhost", "durabletask": "durabletask\n(memory)", "dbos": "DBOS\n(SQLite)"}
PEERS = ("floor", "durabletask", "dbos")
# How many times a peer's chains per second devhost should do.
AIMS = {"floor": 0.8, "durabletask": 2.0, "dbos": 3.0}
# How much longer the fan-out of 1,000 may take than that of 100.
WIDTH_AIM = 12.0


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: how to take it from a contestant's runs, and whether more is better."""

    title: str
    value: Callable[[Sequence[Measurement]], float]
    more_is_better: bool = False
    digits: int = 0
    aims: Mapping[str, float] | None = None


ROWS = (
    Row(
        "200 chains at once (1/s)",
        lambda runs: median(run.chains_per_second for run in runs),
        more_is_better=True,
        aims=AIMS,
    ),
    Row("a chain alone, p50 (ms)", lambda runs: _percentile(runs, 50), digits=1),
    Row("a chain alone, p95 (ms)", lambda runs: _percentile(runs, 95), digits=1),
    Row("fan-out of 100 (ms)", lambda runs: _fan_out(runs, "100")),
    Row("fan-out of 1,000 (ms)", lambda runs: _fan_out(runs, "1000")),
    Row("memory afterwards (MiB)", lambda runs: median(run.memory_mb for run in runs)),
    Row("start-up (ms)", lambda runs: median(run.startup_ms for run in runs)),
)


def print_report(runs: Mapping[str, Sequence[Measurement]], console: Console) -> None:
    """Print the table for the contestants that have runs: medians over all rounds."""
    present = [name for name in TITLES if runs.get(name)]
    peers = [name for name in PEERS if name in present and "devhost" in present]
    table = Table(
        box=SIMPLE_HEAD, title=f"Side by side in one run: {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    table.add_column("measure", no_wrap=True)
    for name in present:
        table.add_column(TITLES[name], justify="right")
    for peer in peers:
        table.add_column(f"devhost to\n{peer}", justify="right")
    for row in ROWS:
        values = {name: row.value(runs[name]) for name in present}
        figures = [f"{values[name]:,.{row.digits}f}" for name in present]
        table.add_row(row.title, *figures, *(_ratio(row, values, peer) for peer in peers))
    widths = {name: _fan_out(runs[name], "1000") / _fan_out(runs[name], "100") for name in present}
    table.add_row("fan-out of 1,000 to 100", *(_width_ratio(name, ratio) for name, ratio in widths.items()))
    console.print(table)
    console.print(
        "A chain is three activities in a row; start-up lasts until the first one has ended.\n"
        "The floor runs the SDK as it is; devhost spares it its date guessing (devhost/durable/sdk_replay.py).\n"
        "devhost to a peer: how many times as good devhost is (more chains, less time, less memory).\n"
        "A figure with an aim is [green]green[/] where it is met, [yellow]yellow with a !![/] where it is missed."
    )


def _ratio(row: Row, values: Mapping[str, float], peer: str) -> str:
    ours, theirs = values["devhost"], values[peer]
    ratio = ours / theirs if row.more_is_better else theirs / ours
    if row.aims is None:
        return f"{ratio:.2f}"
    return against_aim(f"{ratio:.2f}", f"≥{row.aims[peer]:g}", ratio >= row.aims[peer])


def _width_ratio(name: str, ratio: float) -> str:
    if name != "devhost":
        return f"{ratio:.1f}"
    return against_aim(f"{ratio:.1f}", f"≤{WIDTH_AIM:g}", ratio <= WIDTH_AIM)


def against_aim(figure: str, aim: str, is_met: bool) -> str:
    """A figure with its aim, as markup: green, or yellow with a mark that needs no colour."""
    return f"[green]{figure} ({aim})[/]" if is_met else f"[yellow]{figure} ({aim} !!)[/]"


def _percentile(runs: Iterable[Measurement], percent: int) -> float:
    return quantiles((ms for run in runs for ms in run.single_chain_ms), n=100)[percent - 1]


def _fan_out(runs: Iterable[Measurement], width: str) -> float:
    return median(ms for run in runs for ms in run.fan_out_ms[width])
