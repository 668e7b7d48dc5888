"""Deaths of the process at a chosen call to storage or to the Service Bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from azure.core.pipeline import AsyncPipeline

Act = Callable[[], Awaitable[object]]


class Crash(BaseException):
    """The process has died. Nothing in the app catches it to go on."""


class Crashes:
    """Counts the calls, and dies at one of them: just before it is made, or just after. A dead process calls nobody."""

    def __init__(self) -> None:
        self._at: tuple[int, bool] | None = None
        self.calls: list[str] = []
        self.is_dead = False

    def die_at(self, call: int, *, after: bool) -> None:
        """Die at the call of that number, counted from 1 and from now on."""
        self._at, self.calls, self.is_dead = (call, after), [], False

    def restart(self) -> None:
        """A new process, which will not die."""
        self._at, self.is_dead = None, False

    @contextmanager
    def possible(self, call: str) -> Iterator[None]:
        """Around each call."""
        if self.is_dead:
            raise Crash
        self.calls.append(call)
        number, after = self._at or (0, False)
        if len(self.calls) == number and not after:
            self.is_dead = True
            raise Crash
        yield
        if len(self.calls) == number and after:
            self.is_dead = True
            raise Crash

    def at_storage(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Calls to storage count, too."""
        run = AsyncPipeline.run

        async def counted(pipeline: AsyncPipeline, request: Any, **options: Any) -> Any:
            with self.possible(f"{request.method} {request.url.split('?')[0]}"):
                return await run(pipeline, request, **options)

        monkeypatch.setattr(AsyncPipeline, "run", counted)


async def dies(act: Act) -> bool:
    """Whether the process died in it. A task that dies for another cancels it."""
    try:
        await act()
    except (Crash, asyncio.CancelledError):
        return True
    return False
