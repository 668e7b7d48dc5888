"""Runs functions written inside a test on devhost's real parts and Azurite, without an app folder."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import azure.functions as func

from devhost.storage import StorageAccounts
from devhost.storage.queue import Queue
from tests.conformance.bare_host import BareHost, listening


class StorageHost(BareHost):
    """With Azurite."""

    def __init__(self, connection_string: str, extensions: dict[str, Any], settings: dict[str, str]) -> None:
        super().__init__({"AzureWebJobsStorage": connection_string, **settings}, extensions)
        self.storage = StorageAccounts(self.settings)

    async def close(self) -> None:
        await self.storage.close()

    def queue(self, name: str) -> Queue:
        return self.storage.queues().queue(name)

    async def put(self, name: str, body: bytes | str) -> None:
        """Put a message as a producer would: bytes encoded as base64, text as it is."""
        text = base64.b64encode(body).decode() if isinstance(body, bytes) else body
        await self.queue(name).put(text, create=True)

    async def bodies(self, name: str) -> list[bytes]:
        """The decoded messages that wait in a queue."""
        return [base64.b64decode(text) for text in await self.queue(name).peek(32)]


@asynccontextmanager
async def running(
    connection_string: str,
    app: func.FunctionApp,
    queues: dict[str, Any] | None = None,
    blobs: dict[str, Any] | None = None,
    host_id: str | None = None,
    **settings: str,
):
    """The app's functions, listening; ends with every listener stopped and no fault. A new host id unless given."""
    host = StorageHost(connection_string, {"queues": queues or {}, "blobs": blobs or {}}, settings)
    host.id = host_id or host.id
    async with listening(host, app):
        yield host


def new_name(prefix: str = "q") -> str:
    """A name that no other test uses, valid for queues, containers and tables."""
    return f"{prefix}{uuid.uuid4().hex[:12]}"


async def until(condition: Callable[[], Any]) -> None:
    """Return when the condition holds; fails after 30 s."""
    async with asyncio.timeout(100):
        while not condition():
            await asyncio.sleep(0.01)
