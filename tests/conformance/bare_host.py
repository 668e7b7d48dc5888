"""A host of listeners only, for functions written inside a test: devhost's real parts, without an app folder."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import azure.functions as func

from devhost.clock import VirtualClock
from devhost.host_json import HostJson
from devhost.indexer import index
from devhost.invocation import InvocationRecord
from devhost.invoker import Invoker
from devhost.listeners import LISTENERS, create_listener
from devhost.listeners.blob_triggers import BlobTriggers
from devhost.outages import Outages
from devhost.settings import Settings


class BareHost:
    """What listeners and bindings need of a host, and what a test wants to see of them."""

    def __init__(self, settings: dict[str, str], extensions: dict[str, Any]) -> None:
        """`extensions` as in host.json."""
        self.settings = Settings(settings)
        self.json = HostJson({"version": "2.0", "extensions": extensions})
        self.outages = Outages()
        self.clock = VirtualClock()
        self.id = f"test-{uuid.uuid4().hex[:12]}"
        self.invoker = Invoker(self)
        self.invoke = self.invoker.invoke
        self.records: list[InvocationRecord] = []
        self.invoker.observers.append(self.records.append)
        self.blob_triggers = BlobTriggers(self)
        self.faults: list[BaseException] = []
        self.failed = self.faults.append
        self.listeners: list[Any] = []

    async def close(self) -> None:
        """Let go of connections."""

    async def drain(self) -> None:
        """Return when nothing runs and nothing waits to be run, at two looks, as for a whole host."""
        looks = 0
        async with asyncio.timeout(100):
            while looks < 2:
                looks = looks + 1 if all([await listener.is_idle() for listener in self.listeners]) else 0
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(host: BareHost, app: func.FunctionApp) -> AsyncIterator[None]:
    """The app's functions, listening; ends with every listener stopped and no fault."""
    found = index(app.get_functions(), host.settings, host.json)
    assert not found.errors
    host.functions = found.functions
    host.listeners = [
        create_listener(host, function) for function in found.functions.values() if function.trigger.type in LISTENERS
    ]
    for listener in host.listeners:
        await listener.start()
    try:
        yield
    finally:
        for listener in host.listeners:
            await listener.stop()
        await host.close()
        host.invoker.close()
    assert host.faults == []
