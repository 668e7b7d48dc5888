"""The tables of the Service Bus measurement: how fast, against the aims, and which side uses the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.report import against_aim

RATE_AIMS = {"single sends": 1750, "receive and complete": 2200, "both together": 1300}
"""Messages a second."""
CPU_AIM = 1 / 3
"""The bus's CPU for a message over the client's."""
READY_AIM_MS = 300


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement: messages moved, and in seconds its time and the CPU of either side."""

    messages: int
    seconds: float
    client: float
    server: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def print_report(
    runs: Mapping[str, Sequence[Run]], triggers: Mapping[str, Sequence[float]], ready_ms: float, console: Console
) -> None:
    """Print the tables: medians over all rounds. `triggers`: messages a second, the bare loop first."""
    table = Table(box=SIMPLE_HEAD, title="Service Bus: 256 byte messages, aio client, one process each side")
    table.add_column("measure", no_wrap=True)
    for column in ("messages/s", "CPU ms a message\nclient", "\nbus", "bus to\nclient"):
        table.add_column(column, justify="right")
    for title, found in runs.items():
        rate = median(run.rate for run in found)
        aim = RATE_AIMS.get(title)
        client, server = (median(cpu) for cpu in zip(*((run.client, run.server) for run in found), strict=True))
        ratio = server / client
        table.add_row(
            title,
            f"{rate:,.0f}" if aim is None else against_aim(f"{rate:,.0f}", f"≥{aim:,}", rate >= aim),
            f"{client * 1000 / found[0].messages:.3f}",
            f"{server * 1000 / found[0].messages:.3f}",
            against_aim(f"{ratio:.2f}", f"≤{CPU_AIM:.2f}", ratio <= CPU_AIM),
        )
    console.print(table)
    console.print(_shares(runs))
    if triggers:
        console.print(_triggers(triggers))
    ready = against_aim(f"{ready_ms:.0f} ms", f"≤{READY_AIM_MS}", ready_ms <= READY_AIM_MS)
    console.print(f"from the start of its process until the bus takes connections: {ready}")
    console.print("Where a figure has an aim, it is [green]green[/] if met, [yellow]yellow with a !![/] if missed.")


def _shares(runs: Mapping[str, Sequence[Run]]) -> Table:
    """Where the time goes. Both sides may work at once, so that the shares can be more than the whole."""
    table = Table(box=SIMPLE_HEAD, title="Where the time goes")
    table.add_column("of the time between first and last message", no_wrap=True)
    for column in ("the client works", "the bus works", "neither does"):
        table.add_column(column, justify="right")
    for title, found in runs.items():
        client = median(run.client / run.seconds for run in found)
        server = median(run.server / run.seconds for run in found)
        table.add_row(title, f"{client:.0%}", f"{server:.0%}", f"{max(0.0, 1 - client - server):.0%}")
    return table


def _triggers(triggers: Mapping[str, Sequence[float]]) -> Table:
    rates = {title: median(found) for title, found in triggers.items()}
    base = next(iter(rates.values()))
    table = Table(box=SIMPLE_HEAD, title="Service Bus trigger")
    table.add_column("contestant", no_wrap=True)
    for column in ("messages/s", "of bare"):
        table.add_column(column, justify="right")
    for title, rate in rates.items():
        table.add_row(title, f"{rate:,.0f}", f"{rate / base:.2f}")
    return table
