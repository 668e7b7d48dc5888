"""Rows past their age that no job's row leads to: schedules' runs, cleared alerts, replays, imports, approvals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.data.tables import TableEntity

from jobs import schedule_book
from jobs.ages import Ages
from jobs.clients import clients
from jobs.erasing import Eraser
from jobs.ledger import written

PAGE = 1000
"""Rows in one step."""


@dataclass(frozen=True)
class Table:
    """Which rows of a table are old."""

    query: str
    cut: Callable[[Ages], datetime | str]
    """The value of `@cut`."""
    is_needed: Callable[[], Callable[[TableEntity], bool]] = lambda: lambda row: False
    """Makes, for each page, what tells whether an old row must stay all the same."""


def _is_asked_for() -> Callable[[TableEntity], bool]:
    since = schedule_book.needed_since()
    return lambda row: row["RowKey"] >= since.get(row["PartitionKey"], END)


END = "~"
"""It sorts after the key of any run."""

TABLES = {
    # The row of a schedule itself has a key that sorts after any moment.
    "schedules": Table("RowKey lt @cut", lambda ages: written(ages.finished), _is_asked_for),
    "alerts": Table(
        "clearedAt lt @cut", lambda ages: written(ages.finished), lambda: lambda row: row.get("untold", "[]") != "[]"
    ),
    # Without it a body may be replayed twice more.
    "replays": Table("Timestamp lt @cut", lambda ages: ages.failed),
    # Nobody can be asked any more, and whatever became of the job is gone as well.
    "approvals": Table("expiresAt lt @cut", lambda ages: written(ages.failed)),
    # Whose turn it was. A file's name and content are known for good (see `jobs.import_identity`), and their rows have
    # that time, too, where an older version of the app wrote them.
    "imports": Table(
        "PartitionKey ge 'turn-' and PartitionKey lt 'turn.' and importedAt lt @cut", lambda ages: written(ages.failed)
    ),
}


async def erase(name: str, eraser: Eraser, ages: Ages, continuation: dict[str, str] | None) -> dict[str, str] | None:
    """Erase one page of old rows of a table. Returns where to go on, None at the end."""
    table, client = TABLES[name], clients().table(name)
    parameters: dict[str, Any] = {"cut": table.cut(ages)}
    pages = client.query_entities(table.query, parameters=parameters, results_per_page=PAGE).by_page(continuation)
    is_needed = table.is_needed()
    async for page in pages:
        await eraser.rows(name, client, [row async for row in page if not is_needed(row)])
        return pages.continuation_token
    return None
