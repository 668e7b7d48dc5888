"""What of a file was ordered before under its identity, whichever line it was on: a row that has moved is no new one.

An order's id names the line that its row had. Once rows were deleted or inserted above it, the row is on another line,
and only its content tells that it was ordered. Each order stands for one row: of two rows alike, of which one was
ordered, the other is a repetition, of which nobody knows whether it is meant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jobs import ledger
from jobs.entry import PENDING
from jobs.import_file import Chunk
from jobs.import_rows import KIND, line_of


class Was(NamedTuple):
    """A row whose content was ordered before, as another line."""

    line: int
    """Where it is now."""
    before: int
    """The line that the order was made for."""
    is_more: bool
    """Whether all orders of this content are matched by other rows."""
    is_pending: bool
    """Whether the order had not begun."""


class Earlier:
    """The orders that other imports made under an identity, and the rows of a file that have the same content."""

    def __init__(self) -> None:
        self._orders: dict[bytes, list[int]] = defaultdict(list)
        """By the digest of their content, the lines in their ids, rising. Bytes, for there may be 100,000."""
        self._pending: set[int] = set()
        self._rows: dict[bytes, list[int]] = defaultdict(list)

    async def read(self, identity: str, *, but: str) -> None:
        """Read the orders from the ledger; `but`: not those whose claims begin so, which this import itself has made.

        So a repetition finds the same orders as the first time, whatever the import has entered since.
        """
        rows = ledger.table().query_entities(
            "PartitionKey eq @kind and RowKey ge @first and RowKey lt @after",
            parameters={"kind": KIND, "first": f"{identity}-", "after": f"{identity}."},
            select=["RowKey", "digest", "state", "claim"],
        )
        async for row in rows:
            line = line_of(row["RowKey"], identity)
            if line is not None and not (row.get("claim") or "").startswith(but):
                self.know(line, row["digest"], is_pending=row["state"] == PENDING)

    def know(self, line: int, digest: str, *, is_pending: bool) -> None:
        """An order that was made for a line, with the digest of its content; by rising line."""
        self._orders[bytes.fromhex(digest)].append(line)
        if is_pending:
            self._pending.add(line)

    def see(self, rows: Iterable[tuple[int, str]]) -> None:
        """Rows of the file, each with its line and the digest of its content, by rising line."""
        for line, digest in rows:
            key = bytes.fromhex(digest)
            if key in self._orders:
                self._rows[key].append(line)

    def by_chunk(self, chunks: Sequence[Chunk]) -> list[list[Was]]:
        """What was seen and ordered as another line, by chunk.

        Rows on the line that they were ordered as are not in it, and come first, so that a copy above a row does not
        take the row's order for its own.
        """
        found = sorted(was for key, lines in self._rows.items() for was in self._compare(self._orders[key], lines))
        parts: list[list[Was]] = [[] for _ in chunks]
        number = 0
        for was in found:
            while number + 1 < len(chunks) and chunks[number + 1].line <= was.line:
                number += 1
            parts[number].append(was)
        return parts

    def _compare(self, orders: Sequence[int], lines: Sequence[int]) -> Iterable[Was]:
        unmoved = set(orders).intersection(lines)
        others = iter([line for line in orders if line not in unmoved])
        for line in lines:
            if line not in unmoved:
                before = next(others, None)
                is_more = before is None
                yield Was(line, orders[0] if is_more else before, is_more, before in self._pending)
