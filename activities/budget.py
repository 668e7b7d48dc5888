"""A budget: those who work at the same time do not take more of something than there is, and are served in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Budget:
    """So much for all together, within one event loop. The one who needs more than there is gets all of it."""

    def __init__(self, total: int) -> None:
        self._total = self._left = total
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    @asynccontextmanager
    async def taken(self, amount: int) -> AsyncIterator[None]:
        """Wait until so much is left, and have it inside the block. Nobody who comes later is served before."""
        amount = min(amount, self._total)
        async with self._turn:
            while self._left < amount:
                self._given_back.clear()
                await self._given_back.wait()
            self._left -= amount
        try:
            yield
        finally:
            self._left += amount
            self._given_back.set()
