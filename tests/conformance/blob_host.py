"""Runs blob-triggered functions written inside a test on Azurite, and a container to put blobs into."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from typing import Any

import azure.functions as func
from azure.storage.blob.aio import BlobServiceClient

from tests.conformance.storage_host import StorageHost, new_name, running

STORAGE = "AzureWebJobsStorage"
POISON = "webjobs-blobtrigger-poison"
FAST = {"DEVHOST_BLOB_SCAN": "0.1"}


def blob_app(path: str, work: Any, **options: Any) -> func.FunctionApp:
    """An app with one blob function, `work(b)`."""
    app = func.FunctionApp()
    app.function_name("work")(app.blob_trigger("b", path, STORAGE, **options)(work))
    return app


@asynccontextmanager
async def watching(azurite: Any, app: func.FunctionApp, blobs: dict[str, Any] | None = None, **given: Any):
    """The app's functions on a host that scans ten times a second."""
    async with running(azurite.connection_string, app, blobs=blobs, **{**FAST, **given}) as host:
        yield host


class Container:
    """A container of one test."""

    def __init__(self, service: BlobServiceClient, name: str) -> None:
        self.service = service
        self.name = name
        self.client = service.get_container_client(name)

    async def put(self, name: str, content: bytes = b"x", **metadata: str) -> str:
        """Write a blob; its ETag."""
        answer = await self.client.upload_blob(name, content, overwrite=True, metadata=metadata or None)
        return (await answer.get_blob_properties()).etag

    async def read(self, name: str) -> bytes:
        return await (await self.client.download_blob(name)).readall()


@asynccontextmanager
async def new_container(azurite: Any, *, create: bool = True):
    """A container of its own name."""
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        container = Container(service, new_name("c"))
        if create:
            await container.client.create_container()
        yield container


async def poisoned(host: StorageHost, container: str) -> list[dict[str, Any]]:
    """The messages about a container's blobs in the poison queue, which is the account's and never emptied."""
    texts = await host.queue(POISON).peek(32)
    messages = [json.loads(base64.b64decode(text)) for text in texts]
    return [message for message in messages if message["ContainerName"] == container]
