"""The blob doors: a client that the host points at a blob is enough for a job, and the plan decides who tells of it."""

from __future__ import annotations

import importlib
import json
from uuid import uuid4

import pytest
from azure.storage.blob import BlobClient

from jobs.clients import clients
from jobs.settings import settings
from triggers import blobs

pytestmark = [pytest.mark.anyio]


def bindings() -> dict[str, dict]:
    """The blob trigger of each door, as the worker tells the host."""
    return {
        builder._function.get_function_name(): json.loads(raw)
        for builder in blobs.blueprint._function_builders
        for raw in builder._function.get_raw_bindings()
        if "blobTrigger" in raw
    }


@pytest.fixture
def told_by_event_grid(monkeypatch):
    monkeypatch.setenv("BLOB_TRIGGER_SOURCE", "EventGrid")
    settings.cache_clear()
    importlib.reload(blobs)
    yield
    monkeypatch.undo()
    settings.cache_clear()
    importlib.reload(blobs)


def test_the_host_looks_into_the_containers_itself():
    found = bindings()
    assert {name: binding["path"] for name, binding in found.items()} == {
        "take_photo": "photos/{name}",
        "take_order_import": "order-imports/{name}",
    }
    assert {binding["source"] for binding in found.values()} == {"LogsAndContainerScan"}


def test_or_event_grid_tells_it(told_by_event_grid):
    assert {binding["source"] for binding in bindings().values()} == {"EventGrid"}


@pytest.mark.parametrize(
    ("door", "argument", "container", "kind"),
    [("take_photo", "photo", "photos", "photo"), ("take_order_import", "file", "order-imports", "order-import")],
)
async def test_a_blob_is_a_job(storage, durable, azurite, door, argument, container, kind):
    name = f"{uuid4().hex}/a b.jpg"
    await clients().container(container).upload_blob(name, b"content")
    with BlobClient.from_connection_string(azurite.connection_string, container, name) as client:
        function = getattr(blobs, door)._function.get_user_function().client_function
        await function(**{argument: client, "client": durable})
    [(instance, arguments)] = durable.started.items()
    assert instance.startswith(f"{kind}-")
    assert arguments["input"]["name"] == name
