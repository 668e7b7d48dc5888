"""A budget: what is taken at the same time is never more than there is, and everybody's turn comes."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from activities.budget import Budget

pytestmark = pytest.mark.anyio


class Work:
    """What some do with a budget of 10: it records who is at it, and in which order they began."""

    def __init__(self) -> None:
        self.budget = Budget(10)
        self.began: list[str] = []
        self.most = 0
        self._now = Counter()
        self._ends: dict[str, asyncio.Event] = {}

    def start(self, name: str, amount: int) -> asyncio.Task[None]:
        self._ends[name] = asyncio.Event()
        return asyncio.create_task(self._work(name, amount))

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
        for _ in range(10):
            await asyncio.sleep(0)

    async def _work(self, name: str, amount: int) -> None:
        async with self.budget.taken(amount):
            self.began.append(name)
            self._now[name] = amount
            self.most = max(self.most, self._now.total())
            await self._ends[name].wait()
            del self._now[name]


async def test_no_more_is_taken_than_there_is_and_the_large_one_is_not_overtaken():
    work = Work()
    tasks = [work.start(name, amount) for name, amount in (("a", 4), ("b", 4), ("large", 7), ("c", 1))]
    await work.end()
    assert work.began == ["a", "b"]
    await work.end("a")
    assert work.began == ["a", "b"], "there is too little for the large one, and its turn is next"
    await work.end("b")
    assert work.began == ["a", "b", "large", "c"]
    await work.end("large", "c")
    await asyncio.gather(*tasks)
    assert work.most == 8


async def test_one_that_needs_more_than_there_is_has_it_alone():
    work = Work()
    tasks = [work.start(name, amount) for name, amount in (("a", 1), ("huge", 99), ("b", 1))]
    await work.end()
    assert work.began == ["a"]
    await work.end("a")
    assert work.began == ["a", "huge"]
    await work.end("huge", "b")
    await asyncio.gather(*tasks)
    assert work.began == ["a", "huge", "b"]


async def test_one_that_is_stopped_takes_nothing_with_it():
    work = Work()
    first, waiting, working = work.start("a", 10), work.start("b", 10), None
    await work.end()
    waiting.cancel()
    await work.end()
    first.cancel()
    await work.end()
    working = work.start("c", 10)
    await work.end("c")
    await working
    assert work.began == ["a", "c"]
