"""How many messages the blob trigger's scan puts into its queue before it waits."""

from __future__ import annotations

import asyncio

import pytest

from devhost.listeners.blob_backlog import _MOST, BlobBacklog

pytestmark = pytest.mark.anyio


class Line:
    """A queue of so many messages, which counts how often it was asked."""

    def __init__(self, waiting: int | None) -> None:
        self.waiting = waiting
        self.asked = 0

    async def approximate_count(self) -> int | None:
        self.asked += 1
        return self.waiting


async def fill(backlog: BlobBacklog) -> None:
    for _ in range(_MOST):
        assert await backlog.wait_for_room()
        backlog.added()


async def test_few_blobs_cost_no_look_into_the_queue():
    line = Line(0)
    await fill(BlobBacklog(line, asyncio.Event()))
    assert line.asked == 0


async def test_a_scan_waits_while_the_queue_is_long_and_goes_on_when_it_is_short_again():
    line = Line(_MOST)
    backlog = BlobBacklog(line, asyncio.Event())
    await fill(backlog)
    waiting = [asyncio.create_task(backlog.wait_for_room()) for _ in range(3)]
    while line.asked < 2:
        await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    line.waiting = 1
    assert all(await asyncio.wait_for(asyncio.gather(*waiting), 5))


async def test_a_queue_that_was_deleted_has_room():
    backlog = BlobBacklog(Line(None), asyncio.Event())
    await fill(backlog)
    assert await asyncio.wait_for(backlog.wait_for_room(), 5)


async def test_a_host_that_stops_waits_for_no_room_and_hands_nothing_over():
    stopping = asyncio.Event()
    backlog = BlobBacklog(Line(_MOST), stopping)
    await fill(backlog)
    waiting = asyncio.create_task(backlog.wait_for_room())
    await asyncio.sleep(0.01)
    stopping.set()
    assert await asyncio.wait_for(waiting, 5) is False
    assert await BlobBacklog(Line(0), stopping).wait_for_room() is False
