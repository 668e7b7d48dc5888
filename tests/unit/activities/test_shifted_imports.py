"""A file that comes again with its rows on other lines: no row is ordered twice, and none is lost without a word."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from activities import imports
from jobs import ledger
from jobs.errors import TransientError
from jobs.import_identity import ImportUnderWayError
from jobs.import_rows import id_of
from jobs.ledger import JobRef
from jobs.settings import settings
from tests.orders import order
from tests.unit.activities.test_imports import File, bad_rows, begun, counts, no_file_is_left, uploaded
from tests.unit.jobs.crashes import dies
from tests.unit.jobs.fake_bus import restarted

__all__ = ["no_file_is_left"]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_file_is_left")]

OTHER = "this line was ordered before with other content"
ALIKE = "the same order was made before as line {} of this file"


class Book:
    """One name of a file, and its versions: each a text in which every letter is one row, and a point a bad row."""

    def __init__(self) -> None:
        self.id = uuid4().hex[:8]
        self.name = f"{self.id}.jsonl"

    async def upload(self, rows: str, name: str | None = None) -> File:
        lines = ("no JSON" if row == "." else json.dumps(order(f"{self.id}-{row}")) for row in rows)
        return await uploaded(list(lines), name or self.name)

    async def take(self, rows: str, name: str | None = None) -> tuple[list[int], dict[int, str]]:
        """Accepted, ordered before and bad of a version, and what is said of which line."""
        return await said(await (await self.upload(rows, name)).take())

    async def orders(self) -> list[int]:
        """The lines in the ids of all orders."""
        identity = imports.import_identity.sha256(self.name.encode()).hexdigest()[:16]
        rows = ledger.table().query_entities(f"PartitionKey eq 'order' and RowKey ge '{identity}-'", select=["RowKey"])
        found = [row["RowKey"] async for row in rows]
        return [int(id.rpartition("-")[2]) for id in found if id.startswith(f"{identity}-")]


async def said(result: dict[str, Any]) -> tuple[list[int], dict[int, str]]:
    return counts(result)[1:], {int(line): reason.partition(":")[0] for line, _, reason in await bad_rows(result)}


@pytest.fixture(autouse=True)
def two_rows_in_a_chunk(monkeypatch):
    monkeypatch.setenv("IMPORT_ROWS_PER_CHUNK", "2")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize(
    ("first", "second", "expected", "reasons"),
    [
        ("abcde", "xabcde", [0, 5, 1], {1: OTHER}),
        ("abcde", "bcdexy", [1, 4, 1], {5: OTHER}),
        ("ab.de", "abcde", [1, 4, 0], {}),
        ("abc", "abca", [0, 3, 1], {4: ALIKE.format(1)}),
    ],
)
async def test_rows_on_other_lines(bus, first, second, expected, reasons):
    book = Book()
    await book.take(first)
    before = await book.orders()
    assert await book.take(second) == (expected, reasons)
    assert len(await book.orders()) == len(before) + expected[0]
    # The same content under another name: what was new is known now, and nothing else has changed.
    again = [0, expected[0] + expected[1], expected[2]]
    assert await book.take(second, f"other-{book.name}") == (again, reasons)


async def test_back_and_forth(bus):
    """What one version added, the other knows, though its own content is not new."""
    book = Book()
    assert (await book.take("abc"))[0] == [3, 0, 0]
    assert (await book.take("bcde"))[0] == [1, 2, 1]
    assert await book.take("abce") == ([0, 4, 0], {})
    assert (await book.take("abc"))[0] == [0, 3, 0]
    assert await book.orders() == [1, 2, 3, 4]


async def test_a_file_that_was_begun_only(bus):
    """Its waiting orders are begun from where they are now; the rest of it is new."""
    book = Book()
    first = await book.upload("abcd")
    await imports.scan(first.call())
    await imports.take_chunk(first.call(chunk=0))
    bus.queues["jobs"].active.clear()
    assert await book.take("bcd") == ([1, 1, 1], {2: OTHER})
    assert sorted(id[-7:] for id in begun(bus)) == ["0000002", "0000003"]
    # The job of the first is replayed: what the second has ordered is not ordered again.
    again = await replace(first, **vars(await renewed(book, "abcd", first))).take()
    assert counts(again) == [4, 2, 1, 1]
    assert await book.orders() == [1, 2, 3]


async def renewed(book: Book, rows: str, file: File) -> File:
    """The same content again, in the next run of the same job."""
    return File((await book.upload(rows)).input, replace(file.job, run=2))


async def test_a_scan_that_is_repeated_late_knows_what_is_its_own(bus):
    book = Book()
    await book.take("abcd")
    file = await book.upload("bcdaefge")
    await imports.scan(file.call())
    # Of two new rows that are alike, only one has become an order by then.
    for chunk in (0, 2):
        await imports.take_chunk(file.call(chunk=chunk))
    assert counts(await file.take()) == [8, 4, 4, 0]
    assert await book.orders() == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_death_after_any_write_of_the_scan_changes_nothing(bus, crashes):
    async def corrected() -> tuple[Book, File]:
        book = Book()
        await book.take("abc")
        return book, await book.upload("bcde")

    _, file = await corrected()
    crashes.die_at(0, after=False)
    await imports.scan(file.call())
    writes = [number for number, call in enumerate(crashes.calls, 1) if not call.startswith("GET")]
    assert len(writes) >= 4
    for call in writes:
        book, file = await corrected()
        crashes.die_at(call, after=True)
        assert await dies(lambda file=file: imports.scan(file.call()))
        await restarted(bus)
        assert counts(await file.take()) == [4, 1, 2, 1]
        assert await book.orders() == [1, 2, 3, 4]


async def test_two_imports_of_one_file_take_turns(bus):
    """Else the second could not know what the first is about to order."""
    book = Book()
    first = await book.upload("abc")
    await ledger.submit(first.job, "digest")
    await imports.scan(first.call())
    second = await book.upload("bc")
    for attempt, wait in ((3, 64), (30, 600)):
        with pytest.raises(ImportUnderWayError, match=f"order-import/{first.job.id} is about") as caught:
            await imports.scan(replace(second.call(), attempt=attempt))
        assert isinstance(caught.value, TransientError) and caught.value.retry_after == wait
    await ledger.end(first.job, None, ledger.FAILED)
    assert counts(await second.take()) == [2, 2, 0, 0]


async def test_an_order_with_a_name_like_those_of_a_file(bus):
    book = Book()
    await book.take("ab")
    identity = imports.import_identity.sha256(book.name.encode()).hexdigest()[:16]
    for id in (f"{identity}-later", id_of(identity, 3)):
        await ledger.submit(JobRef("order", id, "correlation-1", ledger.now()), "ab" * 32)
    assert await book.take("bac") == ([0, 2, 1], {3: OTHER})
