"""Runs functions written inside a test on devhost's real parts, without an app folder: a host of listeners only."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import azure.functions as func

from devhost.host_json import HostJson
from devhost.indexer import index
from devhost.invocation import InvocationRecord
from devhost.invoker import Invoker
from devhost.listeners import create_listener
from devhost.outages import Outages
from devhost.settings import Settings
from devhost.storage import StorageAccounts
from devhost.storage.queue import Queue


class StorageHost:
    """What listeners and bindings need of a host, and what a test wants to see of them."""

    def __init__(self, connection_string: str, queues: dict[str, Any], settings: dict[str, str]) -> None:
        self.settings = Settings({"AzureWebJobsStorage": connection_string, **settings})
        self.json = HostJson({"version": "2.0", "extensions": {"queues": queues}})
        self.outages = Outages()
        self.storage = StorageAccounts(self.settings)
        self.invoker = Invoker(self)
        self.invoke = self.invoker.invoke
        self.records: list[InvocationRecord] = []
        self.invoker.observers.append(self.records.append)
        self.faults: list[BaseException] = []
        self.failed = self.faults.append
        self.listeners: list[Any] = []

    def queue(self, name: str) -> Queue:
        return self.storage.queues().queue(name)

    async def put(self, name: str, body: bytes | str) -> None:
        """Put a message as a producer would: bytes encoded as base64, text as it is."""
        text = base64.b64encode(body).decode() if isinstance(body, bytes) else body
        await self.queue(name).put(text, create=True)

    async def bodies(self, name: str) -> list[bytes]:
        """The decoded messages that wait in a queue."""
        return [base64.b64decode(text) for text in await self.queue(name).peek(32)]

    async def drain(self) -> None:
        """Return when nothing runs and no visible message waits."""
        async with asyncio.timeout(30):
            while not all([await listener.is_idle() for listener in self.listeners]):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(connection_string: str, app: func.FunctionApp, queues: dict[str, Any] | None = None, **settings: str):
    """The app's functions, listening; ends with every listener stopped and no fault."""
    host = StorageHost(connection_string, queues or {}, settings)
    found = index(app.get_functions(), host.settings, host.json)
    assert not found.errors
    host.listeners = [create_listener(host, function) for function in found.functions.values()]
    for listener in host.listeners:
        await listener.start()
    try:
        yield host
    finally:
        for listener in host.listeners:
            await listener.stop()
        await host.storage.close()
        host.invoker.close()
    assert host.faults == []


def new_name(prefix: str = "q") -> str:
    """A name that no other test uses, valid for queues, containers and tables."""
    return f"{prefix}{uuid.uuid4().hex[:12]}"


async def until(condition: Callable[[], Any]) -> None:
    """Return when the condition holds; fails after 30 s."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)
