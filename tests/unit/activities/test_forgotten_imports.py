"""A file that comes again when retention has deleted the rows of its orders: nothing is ordered twice, or in vain."""

from __future__ import annotations

import asyncio
import struct
from unittest.mock import AsyncMock

import pytest

from activities import imports
from jobs import import_book, ledger
from jobs.clients import clients
from jobs.import_identity import sha256
from jobs.import_rows import id_of
from jobs.ledger import JobRef
from jobs.settings import settings
from tests.unit.activities.test_imports import begun, no_file_is_left
from tests.unit.activities.test_shifted_imports import ALIKE, OTHER, Book, renewed, said
from tests.unit.jobs.crashes import Crash, dies

__all__ = ["no_file_is_left"]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_file_is_left")]


class OldBook(Book):
    """A file that was imported long ago."""

    @property
    def identity(self) -> str:
        return sha256(self.name.encode()).hexdigest()[:16]

    async def forget(self, *lines: int) -> None:
        """Do as retention does: delete the orders' rows from the ledger (of all lines unless told), and all turns."""
        lines = lines or tuple(await self.orders())
        await asyncio.gather(*(ledger.table().delete_entity("order", id_of(self.identity, line)) for line in lines))
        table = clients().table("imports")
        rows = [row async for row in table.query_entities(f"PartitionKey eq 'turn-{self.identity}'")]
        await asyncio.gather(*(table.delete_entity(row) for row in rows))


SECOND = {
    "abcd": ([0, 4, 0], {}),
    "abcde": ([1, 4, 0], {}),
    "bcd": ([0, 3, 0], {}),
    # The new row is on the line of another order, and the last one, where there was none, has its order.
    "xabcd": ([0, 4, 1], {1: OTHER}),
    "abxd": ([0, 3, 1], {3: OTHER}),
    "abcda": ([0, 4, 1], {5: ALIKE.format(1)}),
}
"""What may come after `abcd`, and what is made of it, as if nothing had been deleted."""


async def test_what_was_ordered_is_known_by_the_order_book(bus):
    for second, expected in SECOND.items():
        book = OldBook()
        await book.take("abcd")
        await book.forget()
        bus.queues["jobs"].active.clear()
        # Under whatever name the same content comes.
        assert await book.take(second, f"other-{book.name}" if second == "abcd" else None) == expected, second
        assert len(await book.orders()) == len(begun(bus)) == expected[0][0]


async def test_some_are_gone_and_some_are_not(bus, monkeypatch):
    """Of those that a cancelled import left, some wait; what the next one adds is known, too, when it is gone."""
    book = OldBook()
    monkeypatch.setenv("IMPORT_ROWS_PER_CHUNK", "2")
    settings.cache_clear()
    first = await book.upload("abcdef")
    await imports.scan(first.call())
    await imports.take_chunk(first.call(chunk=0))
    await imports.take_chunk(first.call(chunk=1))
    await book.forget(1, 4)
    bus.queues["jobs"].active.clear()
    assert await book.take("abcdef") == ([2, 4, 0], {})
    assert sorted(id[-1] for id in begun(bus)) == ["2", "3", "5", "6"]
    await book.forget()
    assert await book.take("fedcba") == ([0, 6, 0], {})
    # The job of the first is replayed.
    again = await renewed(book, "abcdef", first)
    assert await said(await again.take()) == ([0, 6, 0], {})
    assert await book.orders() == []


async def test_an_import_that_is_replayed_when_some_are_gone_forgets_none(bus):
    book = OldBook()
    first = await book.upload("abcd")
    await first.take()
    await book.forget(2)
    await (await renewed(book, "abcd", first)).take()
    await book.forget()
    assert await book.take("dcba") == ([0, 4, 0], {})


async def test_what_an_import_left_that_died_is_known_when_another_has_begun_it(bus, monkeypatch):
    book = OldBook()
    first = await book.upload("ab")
    await imports.scan(first.call())
    with monkeypatch.context() as patch:
        patch.setattr(import_book, "enter", AsyncMock(side_effect=Crash))
        assert await dies(lambda: imports.take_chunk(first.call(chunk=0)))
    assert await book.take("ab") == ([0, 2, 0], {})
    await book.forget()
    assert await book.take("ba") == ([0, 2, 0], {})


async def test_other_content_on_a_line_is_not_taken_for_what_was_ordered(bus):
    book = OldBook()
    await book.take("abcd")
    assert await book.take("abxd") == ([0, 3, 1], {3: OTHER})
    table = clients().table("orders")
    rows = [row async for row in table.query_entities(f"PartitionKey eq '{book.identity}-rows'")]
    assert len(rows) == 2 and len({order for row in rows for order in struct.iter_unpack(">I32s", row["made"])}) == 4


async def test_an_order_whose_row_is_damaged_is_known_by_the_order_book(bus):
    book = OldBook()
    await book.take("abcd")
    keys = {"PartitionKey": "order", "RowKey": id_of(book.identity, 2)}
    await ledger.table().update_entity({**keys, "digest": "x", "state": 1})
    assert await book.take("bacd") == ([0, 4, 0], {})
    # Without the book nobody knows what it was.
    table = clients().table("orders")
    async for row in table.query_entities(f"PartitionKey eq '{book.identity}-rows'"):
        await table.delete_entity(row)
    assert await book.take("abcde") == ([1, 3, 1], {2: OTHER})


async def test_orders_of_older_versions_are_known_by_their_line(bus):
    """A row that has no order in the book is new; so it is not asked what became of an order that is in it."""
    book = OldBook()
    await book.take("abcde")
    table = clients().table("orders")
    for row in [row async for row in table.query_entities(f"PartitionKey eq '{book.identity}-rows'")]:
        await table.delete_entity(row)
    for line, state in {1: "HandedOver", 2: "Withdrawn", 4: "Confirmed"}.items():
        id = id_of(book.identity, line)
        await table.create_entity({"PartitionKey": id, "RowKey": "order@2", "state": state})
        await table.create_entity({"PartitionKey": id, "RowKey": "changes"})
    await table.create_entity({"PartitionKey": id_of(book.identity, 5), "RowKey": "changes"})
    await book.forget()
    assert await book.take("abxde") == ([2, 3, 0], {})
    assert await book.orders() == [3, 5]


async def test_a_new_file_costs_one_question_and_a_write_a_chunk(bus, crashes):
    crashes.die_at(0, after=False)
    await OldBook().take("abcd")
    assert sorted(call.split()[0] for call in crashes.calls if "/orders(" in call) == ["GET", "PUT"]


async def test_more_orders_than_a_row_of_the_book_takes(storage):
    identity, job = OldBook().identity, JobRef("order-import", "i-1", "correlation-1", ledger.now())
    orders = {line: f"{line:064x}" for line in range(9_996_000, 10_000_000)}
    for _ in range(2):
        await import_book.enter(identity, job, list(orders.items()))
        assert await import_book.read(identity) == {line: bytes.fromhex(digest) for line, digest in orders.items()}
