"""What of a file was ordered before under its identity, whichever line it was on: a row that has moved is no new one.

An order's id names the line that its row had. Once rows were deleted or inserted above it, the row is on another line,
and only its content tells that it was ordered. Each order stands for one row: of two rows alike, of which one was
ordered, the other is a repetition, of which nobody knows whether it is meant.

An order whose row in the ledger is gone by its age is known by the order book (`jobs.import_book`). It must not be
entered again: its id is taken, and the job would fail.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from jobs import ledger
from jobs.entry import PENDING
from jobs.import_file import Chunk
from jobs.import_rows import KIND, line_of

_DIGEST = re.compile("[0-9a-f]{64}")


class Was(NamedTuple):
    """A row whose content was ordered before as another line, or whose line was, by an order that the ledger lacks."""

    line: int
    """Where it is now."""
    before: int
    """The line that the order was made for."""
    is_more: bool
    """Whether all orders of this content are matched by other rows."""
    is_pending: bool
    """Whether the order had not begun."""
    is_other: bool = False
    """Whether the order of that line had another content."""


class Earlier:
    """The orders that other imports made under an identity, and the rows of a file that have the same content."""

    def __init__(self) -> None:
        self._orders: dict[bytes, list[int]] = defaultdict(list)
        """By the digest of their content, the lines in their ids, rising. Bytes, for there may be 100,000."""
        self._pending: set[int] = set()
        self._gone: dict[int, bytes | None] = {}
        """The digests of those that the ledger lacks, by line; None: nobody knows it any more."""
        self._rows: dict[bytes, list[int]] = defaultdict(list)
        self._in_place: dict[int, bytes] = {}
        """The digests of the rows that are on the lines of those."""

    async def read(self, identity: str, booked: Mapping[int, bytes | None], *, but: str) -> None:
        """Read the orders from the ledger. `booked`: those in the order book, which may be gone from there.

        `but`: not those whose claims begin so, which this import itself has made. So a repetition finds the same orders
        as the first time, whatever the import has entered since.
        """
        listed: dict[int, tuple[bytes, bool] | None] = {}
        rows = ledger.table().query_entities(
            "PartitionKey eq @kind and RowKey ge @first and RowKey lt @after",
            parameters={"kind": KIND, "first": f"{identity}-", "after": f"{identity}."},
            select=["RowKey", "digest", "state", "claim"],
        )
        async for row in rows:
            line = line_of(row["RowKey"], identity)
            # Of a damaged row the book may tell.
            if line is not None and _DIGEST.fullmatch(str(row.get("digest"))):
                is_own = (row.get("claim") or "").startswith(but)
                listed[line] = None if is_own else (bytes.fromhex(row["digest"]), row.get("state") == PENDING)
        for line in sorted(listed.keys() | booked.keys()):
            if line not in listed:
                self.know(line, booked[line], is_gone=True)
            elif order := listed[line]:
                self.know(line, order[0], is_pending=order[1])

    def know(self, line: int, digest: bytes | None, *, is_pending: bool = False, is_gone: bool = False) -> None:
        """An order that was made for a line, with the digest of its content; by rising line.

        `is_gone`: the ledger lacks it. Only then the digest may be None: whatever is on its line counts as ordered.
        """
        if digest is not None:
            self._orders[digest].append(line)
        if is_pending:
            self._pending.add(line)
        if is_gone:
            self._gone[line] = digest

    def see(self, rows: Iterable[tuple[int, str]]) -> None:
        """Rows of the file, each with its line and the digest of its content, by rising line."""
        for line, digest in rows:
            key = bytes.fromhex(digest)
            if line in self._gone:
                self._in_place[line] = key
            if key in self._orders and self._gone.get(line, key) is not None:
                self._rows[key].append(line)

    def by_chunk(self, chunks: Sequence[Chunk]) -> list[list[Was]]:
        """What was seen and ordered as another line, or is on the line of an order that the ledger lacks; by chunk.

        Rows on the line that they were ordered as come first, so that a copy above a row does not take the row's order
        for its own. They are not in it while the ledger has them.
        """
        by_line = {
            line: Was(line, line, False, False, self._gone[line] not in (None, key))
            for line, key in self._in_place.items()
        }
        by_line |= {
            was.line: was for key, lines in self._rows.items() for was in self._compare(self._orders[key], lines)
        }
        found = sorted(by_line.values())
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
