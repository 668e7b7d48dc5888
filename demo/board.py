"""What the demo shows: the jobs as they go, and afterwards what was sold, paid and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.balance import Balance, StockLine
from demo.files import Files
from demo.outcomes import Case
from demo.processes import ROOT
from demo.told import Told

DOORS = {
    "http": "HTTP",
    "jobs": "queue",
    "jobs-urgent": "urgent",
    "bus": "bus",
    "photos": "blob",
    "order-imports": "blob",
    "order": "order",
}


def jobs(groups: Mapping[str, Sequence[Case]], seconds: float) -> Table:
    """Every case, by its pattern, with its expected and, while it runs, its present state."""
    cases = [case for group in groups.values() for case in group]
    ended = sum(case.outcome is not None for case in cases)
    table = _table(f"{len(cases)} jobs, {ended} ended after {seconds:.0f} s")
    table.add_column("Pattern", no_wrap=True, style="dim")
    table.add_column("Job", no_wrap=True)
    table.add_column("Door", no_wrap=True)
    table.add_column("What happens")
    table.add_column("Expected")
    table.add_column("", no_wrap=True)
    table.add_column("Outcome", min_width=18)
    for pattern, group in groups.items():
        for case in group:
            scenario, first = case.scenario, case is group[0]
            about = scenario.id, DOORS[scenario.door], scenario.story, scenario.expected
            table.add_row(pattern if first else "", *about, _mark(case), _outcome(case))
        table.add_section()
    return table


def stock(balance: Balance) -> Table:
    """What there was of each article, what was sold, and what is left."""
    table = _table("Stock")
    table.add_column("Article", width=28)
    for heading in ("At first", "Sold", "Must be left", "Are left", ""):
        table.add_column(heading, justify="right")
    for line in balance.stock:
        table.add_row(*_stock_row(line))
    return table


def money(balance: Balance) -> Table:
    """What the customers owe against what the gateway booked, in major units."""
    table = _table("Money (EUR)")
    table.add_column("", width=28)
    table.add_column("By the orders", justify="right", width=14)
    table.add_column("By the gateway", justify="right", width=14)
    table.add_column("", width=1)
    for line in balance.money:
        table.add_row(line.name, _amount(line.expected), _amount(line.booked), _tick(line.expected == line.booked))
    return table


def gateway(balance: Balance) -> Table:
    """How often the gateway was asked, for the orders whose way was not straight."""
    table = _table("What the gateway answered (a repeated request has the same key: booked once)")
    table.add_column("Order", no_wrap=True)
    for heading in ("authorize", "charge", "refund or void"):
        table.add_column(heading, width=24)
    for order, attempts in balance.attempts.items():
        table.add_row(order, *attempts)
    return table


def mails(balance: Balance) -> str:
    """One line on the mail."""
    again = f"; {balance.mails_repeated} came twice and was kept once" if balance.mails_repeated else ""
    tick = _tick(balance.mails == balance.mails_expected)
    return f"{tick} {balance.mails} of {balance.mails_expected} mails arrived{again}."


def dead_letters(letters: Sequence[Mapping[str, Any]]) -> Table:
    """What could not be done: where it rests, why, where it came from."""
    table = _table("Dead letters, in the Service Bus")
    for heading in ("Id", "Reason", "Source"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Job", no_wrap=True, max_width=24, overflow="ellipsis")
    table.add_column("Attempts", justify="right")
    for letter in letters:
        job = f"{letter['kind']} {letter['jobId'] or ''}" if letter["kind"] else ""
        table.add_row(letter["id"], letter["reason"], letter["source"], job, str(letter["attempts"]))
    return table


def files(found: Files) -> str:
    """What was made of the files that were uploaded, and of the sales of the day."""
    lines = ["[bold]Files[/]", f"{_tick(len(found.thumbnails) == 6)} the photo has {len(found.thumbnails)} thumbnails:"]
    for each in found.thumbnails:
        lines.append(f"    {_path(each.path):34} {each.width:>4} x {each.height:<4} {each.length:>8,} bytes")
    counts = found.counts
    said = f"{counts['accepted']} of {counts['rows']} rows are orders, {found.sold} of them completed"
    lines.append(f"{_tick(found.import_is_right)} the import: {said}; {counts['bad']} rows are bad:")
    for row in found.bad_rows:
        lines.append(escape(f"    line {row['line']:>2}  {row['field']:9} {row['reason']}"))
    if found.report:
        said = f"{found.report['orders']} orders, " + ", ".join(_reported(found.report))
        lines.append(f"{_tick(found.report_is_right)} the sales report of {found.report['day']}: {said}:")
        lines += [f"    {_path(found.thumbnails[0].path.parent / f'sales.{name}')}" for name in ("html", "csv")]
    return "\n".join(lines)


def told(found: Told) -> str:
    """What was told besides the statuses."""
    lines = [f"{_tick(is_right)} {escape(text)}" for is_right, text in found.lines()]
    return "\n".join(["[bold]Told[/]", *lines])


def replay(letter_id: str, case: Case) -> str:
    """One line on a dead letter that was replayed."""
    was = f"{case.scenario.id} was {case.outcome}"
    return f"{_tick(case.outcome_of_replay == case.scenario.replayed)} {letter_id} replayed: {was}, and is now " + str(
        case.outcome_of_replay or "not done yet"
    )


def _stock_row(line: StockLine) -> tuple[str, ...]:
    return line.name, str(line.start), str(line.sold), str(line.start - line.sold), str(line.left), _tick(line.is_right)


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def _mark(case: Case) -> str:
    return " " if case.outcome is None else _tick(case.is_right)


def _outcome(case: Case) -> RenderableType:
    if case.outcome is not None:
        return Text(case.outcome, style="" if case.is_right else "bold red")
    if not case.percent:
        return Text(case.step, style="dim")
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=100, completed=case.percent, width=8), Text(case.step, style="cyan"))
    return row


def _tick(is_right: bool) -> str:
    return "[green]✓[/]" if is_right else "[bold red]✗[/]"


def _reported(report: Mapping[str, Any]) -> Iterator[str]:
    """The sums of a sales report, one text a currency."""
    for currency, sold in report["totals"].items():
        refunded = report["refunds"].get(currency)
        less = f", less {_amount(refunded)} refunded: {_amount(report['net'][currency])} net" if refunded else ""
        yield f"{_amount(sold)} {currency}{less}"


def _amount(minor_units: int) -> str:
    return f"{minor_units / 100:,.2f}"


def _path(path: Path) -> str:
    return str(path.relative_to(ROOT))
