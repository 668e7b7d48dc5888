"""The lease of a queue message: renewed while its function runs, and never after."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from devhost.listeners.message_lease import MessageLease

pytestmark = pytest.mark.anyio

SECONDS = 0.02


class Queue:
    """Counts the renewals; one takes as long as the test wants."""

    name = "jobs"

    def __init__(self) -> None:
        self.renewals = 0
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def update(self, message, visibility) -> None:
        self.renewals += 1
        self.begun.set()
        await self.may_end.wait()


async def test_it_is_renewed_until_it_is_released():
    queue = Queue()
    queue.may_end.set()
    lease = MessageLease(queue, SimpleNamespace(id="m-1"), SECONDS)
    while queue.renewals < 3:
        await asyncio.sleep(0.001)
    await lease.release()
    renewals = queue.renewals
    await asyncio.sleep(3 * SECONDS)
    assert queue.renewals == renewals


async def test_one_that_is_being_renewed_when_it_is_released_is_not_renewed_again():
    queue = Queue()
    lease = MessageLease(queue, SimpleNamespace(id="m-1"), SECONDS)
    await queue.begun.wait()
    released = asyncio.create_task(lease.release())
    await asyncio.sleep(0)
    queue.may_end.set()
    await released
    await asyncio.sleep(3 * SECONDS)
    assert queue.renewals == 1
