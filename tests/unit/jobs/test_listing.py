"""Lists of jobs: pages in the ledger's order, the newest of a time that is not too long, and those that wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from jobs import clock, ledger, listing
from jobs.entry import written
from jobs.errors import DamagedRowError
from tests.unit.jobs.test_ledger import job

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_pages_hold_what_was_asked_for_and_lead_on():
    kind = f"kind{uuid4().hex}"
    for number in range(7):
        submitted, _ = await ledger.submit(job(kind, f"id-{number}", f"2026-01-0{number + 1}T00:00:00.000000Z"), "d")
        if number % 2:
            await ledger.end(submitted.job, None, "Completed")

    async def ids(status=None, since=None):
        found, sizes, continuation = [], [], None
        while True:
            page = await listing.page(kind=kind, status=status, since=since, top=3, continuation=continuation)
            found += [row.job.id for row in page.entries]
            sizes.append(len(page.entries))
            continuation = page.continuation
            if continuation is None:
                return found, sizes

    assert await ids() == ([f"id-{number}" for number in range(7)], [3, 3, 1])
    assert (await ids(status="Completed"))[0] == ["id-1", "id-3", "id-5"]
    assert (await ids(since="2026-01-06T00:00:00.000000Z"))[0] == ["id-5", "id-6"]
    assert (await ids(status="Completed", since="2026-01-06T00:00:00.000000Z"))[0] == ["id-5"]


async def test_without_a_filter_pages_hold_any_jobs():
    for _ in range(2):
        await ledger.submit(job(), "digest")
    first = await listing.page(kind=None, status=None, since=None, top=1, continuation=None)
    second = await listing.page(kind=None, status=None, since=None, top=1, continuation=first.continuation)
    assert (len(first.entries), len(second.entries)) == (1, 1) and first.entries != second.entries


async def test_a_filter_cannot_be_broken_out_of():
    page = await listing.page(kind="x' or 'a' eq 'a", status=None, since=None, top=10, continuation=None)
    assert page.entries == []


@pytest.fixture
async def kind(monkeypatch) -> str:
    """Ten jobs, the n-th of which was submitted n minutes ago; ids say nothing of the order."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    kind = f"kind{uuid4().hex}"
    for number in range(10):
        await ledger.submit(job(kind, f"id-{number * 7 % 10}-{number}", ago(minutes=number)), "digest")
    return kind


def ago(**span: float) -> str:
    return written(NOW - timedelta(**span))


async def newest(kind: str, *, top: int = 5, status: str | None = None, since: str | None = None):
    found = await listing.newest(kind=kind, status=status, since=since, top=top)
    return [int(entry.job.id.rpartition("-")[2]) for entry in found.entries], found.since, found.is_cut


async def test_the_newest_come_first_and_from_a_day_unless_said_otherwise(kind):
    await ledger.submit(job(kind, "old-99", ago(hours=25)), "digest")
    assert await newest(kind, top=3) == ([0, 1, 2], ago(days=1), False)
    assert (await newest(kind, top=50))[0] == list(range(10))
    assert await newest(kind, top=50, since=ago(hours=26)) == ([*range(10), 99], ago(hours=26), False)
    assert (await newest(kind, since=ago(minutes=2)))[0] == [0, 1, 2]


async def test_a_time_with_too_many_jobs_is_shortened_and_that_is_said(kind, monkeypatch):
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 8)
    # A day, 4 hours, 40 minutes, and then the 6 minutes and 40 seconds in which there are seven.
    assert await newest(kind, top=50) == ([*range(7)], ago(minutes=6, seconds=40), True)
    for number in range(9):
        await ledger.submit(job(kind, f"flood-{number}", ago(microseconds=9 - number)), "digest")
    found, since, is_cut = await newest(kind, top=50)
    # The newest of them, 8, may be the one that is missing: nothing is promised.
    assert (found, since, is_cut) == ([*reversed(range(8))], written(NOW), True)


async def test_rows_that_are_sorted_out_are_looked_at_too(kind, monkeypatch):
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 8)
    for number in range(9):
        entry, _ = await ledger.submit(job(kind, f"a-{number}", ago(minutes=number)), "digest")
        await ledger.begin(entry.job, runner="one")
        await ledger.wait_for(entry.job, "carrier", NOW)
    assert await newest(kind, status="Running") == ([], ago(minutes=6, seconds=40), True)


async def test_what_waits_is_told_from_what_runs(kind):
    for number in (3, 4):
        entry, _ = await ledger.submit(job(kind, f"busy-{number}", ago(seconds=number)), "digest")
        await ledger.begin(entry.job, runner="one")
    await ledger.wait_for(entry.job, "carrier", NOW)
    assert (await newest(kind, status="Running"))[0] == [3]
    assert (await newest(kind, status="Waiting"))[0] == [4]
    page = await listing.page(kind=kind, status="Waiting", since=None, top=5, continuation=None)
    assert [row.waiting_for for row in page.entries] == ["carrier"]
    await ledger.wait_for(entry.job, None, NOW)
    assert (await newest(kind, status="Running"))[0] == [3, 4]
    assert (await newest(kind, status="Waiting"))[0] == []


async def test_as_many_as_are_asked_for_are_found_in_the_latest_time_and_no_more_is_looked_at(kind, crashes):
    for number in range(3):
        await ledger.submit(job(kind, f"old-{number}", ago(hours=20)), "digest")
    crashes.calls.clear()
    assert await newest(kind, top=10) == ([*range(10)], ago(days=1), False)
    assert len(crashes.calls) == 1
    assert (await newest(kind, top=11))[0][:10] == [*range(10)]
    assert len(crashes.calls) == 1 + 3


async def test_a_damaged_row_costs_only_itself_and_is_named(kind):
    await ledger.table().update_entity({"PartitionKey": kind, "RowKey": "id-0-0", "result": "{"})
    page = await listing.page(kind=kind, status=None, since=None, top=50, continuation=None)
    assert (len(page.entries), page.damaged) == (9, [f"{kind}/id-0-0"])
    found = await listing.newest(kind=kind, status=None, since=None, top=50)
    assert (len(found.entries), found.damaged) == (9, [f"{kind}/id-0-0"])
    with pytest.raises(DamagedRowError, match=f"{kind} job 'id-0-0'"):
        await ledger.get(kind, "id-0-0")
