"""Event Grid as the source of a blob trigger, arguments of the SDK's types, and runs by hand (§5)."""

import json
import logging
import sys

import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob
import httpx
import pytest

from devhost.storage.blob_service import BlobService
from tests.conformance.apps import serve
from tests.conformance.blob_host import STORAGE, blob_app, new_container, watching

pytestmark = pytest.mark.anyio

HOOK = "/runtime/webhooks/blobs?functionName=Host.Functions.work"
EVENTS = """
seen = []

@app.blob_trigger(arg_name="b", path="CONTAINER/{name}.txt", connection="AzureWebJobsStorage", source="EventGrid")
def work(b: func.InputStream):
    seen.append([b.name, b.read()])

@app.blob_trigger(arg_name="b", path="CONTAINER/{name}.scan", connection="AzureWebJobsStorage")
def scanned(b: func.InputStream): ...
"""


@pytest.fixture
async def container(azurite):
    async with new_container(azurite) as made:
        yield made


@pytest.fixture
def hosted(devhost_host, tmp_path, azurite, container):
    def start(**options):
        settings = {STORAGE: azurite.connection_string, "DEVHOST_BLOB_SCAN": "0.1", "DEVHOST_MASTER_KEY": "master"}
        return serve(
            devhost_host, tmp_path, EVENTS.replace("CONTAINER", container.name), settings=settings, options=options
        )

    return start


def created(url, schema="eventType", kind="Microsoft.Storage.BlobCreated"):
    data = {"api": "PutBlob", "eTag": "0x1", "contentLength": 1, "blobType": "BlockBlob", "url": url}
    return {"id": "1", "subject": "s", schema: kind, "data": data, "eventTime": "2026-11-22T10:00:00Z"}


async def test_events_of_created_blobs_run_the_function_and_nothing_is_scanned(hosted, container, caplog):
    caplog.set_level(logging.DEBUG, "devhost.blobs")
    await container.put("a b.txt", b"told")
    await container.put("silent.txt", b"never told")
    host = hosted()
    url = f"{container.client.url}/a%20b.txt"
    events = [
        created(url),
        created(f"{container.client.url}/a.jpg"),
        created(url, kind="Microsoft.Storage.BlobDeleted"),
        created(f"{container.client.url}/gone.txt"),
    ]
    answer = host.post(HOOK, json=events, headers={"aeg-event-type": "Notification"})
    assert answer.status_code == 202
    host.drain()
    assert sys.modules["function_app"].seen == [[f"{container.name}/a b.txt", b"told"]]
    assert "its type is Microsoft.Storage.BlobDeleted" in caplog.text
    assert "does not match the path" in caplog.text
    # Cloud events, one alone; the same version as often as Event Grid tells of it, since there are no receipts.
    assert host.post(HOOK, json=created(url, schema="type")).status_code == 202
    host.drain()
    assert len(sys.modules["function_app"].seen) == 2


async def test_the_handshakes_of_a_subscription_are_answered(hosted):
    host = hosted()
    kind = "Microsoft.EventGrid.SubscriptionValidationEvent"
    event = {"id": "1", "eventType": kind, "data": {"validationCode": "512d38b6"}}
    answer = host.post(HOOK, json=[event], headers={"aeg-event-type": "SubscriptionValidation"})
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "512d38b6"})
    cloud = {"id": "1", "type": kind, "data": json.dumps({"validationCode": "c10d"})}
    assert host.post(HOOK, json=cloud).json() == {"validationResponse": "c10d"}
    answer = host.request("OPTIONS", HOOK, headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
    assert answer.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"


async def test_requests_to_the_webhook_that_cannot_be_used(hosted):
    host = hosted()
    for body in (b"", b"{", b"1", b"[]", b"[1]", b'[{"id": "1"}]', b'[{"eventType": "Microsoft.Storage.BlobCreated"}]'):
        assert host.post(HOOK, content=body).status_code == 400, body
    assert host.post(HOOK, json=[created("http://127.0.0.1:1/account")]).status_code == 400
    assert host.post(HOOK, content=b"[]", headers={"aeg-event-type": "Other"}).status_code == 400
    for name in ("", "work", "Host.Functions.none", "Host.Functions.scanned"):
        refused = host.post(f"/runtime/webhooks/blobs?functionName={name}", json=[])
        assert refused.status_code == 404, name
        assert ('source="EventGrid"' in refused.text) == name.endswith("scanned")


async def test_the_webhook_asks_for_its_system_key_only_with_enable_auth(hosted, tmp_path):
    host = hosted(enable_auth=True)
    keys = json.loads((tmp_path / ".devhost" / "keys.json").read_text())["systemKeys"]
    event = [{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "1"}}]
    codes = {code: host.post(f"{HOOK}&code={code}", json=event).status_code for code in ("wrong", *keys.values())}
    assert codes == {"wrong": 401, keys["durabletask_extension"]: 401, keys["blobs_extension"]: 200}
    assert host.post(f"{HOOK}&code=master", json=event).status_code == 200


async def test_an_argument_of_an_sdk_type_gets_its_object_and_nothing_is_downloaded(azurite, container, monkeypatch):
    app, seen, read, plain = func.FunctionApp(), [], [], BlobService.read

    async def noting(self, name, *rest):
        read.append(name)
        return await plain(self, name, *rest)

    monkeypatch.setenv(STORAGE, azurite.connection_string)  # the package reads the environment
    monkeypatch.setattr(BlobService, "read", noting)

    @app.blob_trigger("b", f"{container.name}/in/{{name}}", STORAGE)
    @app.blob_input("side", f"{container.name}/side/{{name}}", STORAGE)
    @app.blob_input("all", container.name, STORAGE)
    def work(b: blob.BlobClient, side: blob.StorageStreamDownloader, all: blob.ContainerClient):
        seen.append((b.container_name, b.blob_name, side.readall(), [found.name for found in all.list_blobs()]))

    await container.put("side/a", b"beside")
    async with watching(azurite, app) as host:
        await container.put("in/a")
        await host.drain()
        bindings = {binding.name: binding.properties for binding in host.functions["work"].bindings}
    assert seen == [(container.name, "in/a", b"beside", ["in/a", "side/a"])]
    assert container.name not in read
    assert bindings["b"]["properties"] == bindings["side"]["properties"] == {"SupportsDeferredBinding": True}


async def test_a_version_that_changed_is_dropped_for_an_sdk_type_too(azurite, container, monkeypatch):
    monkeypatch.setenv(STORAGE, azurite.connection_string)
    seen = []

    def work(b: blob.BlobClient):
        seen.append(b.get_blob_properties().etag)

    async with watching(azurite, blob_app(container.name, work)) as host:
        message = {"FunctionId": "Host.Functions.work", "ContainerName": container.name, "BlobName": "a", "ETag": "old"}
        etag = await container.put("a")
        await host.put(f"azure-webjobs-blobtrigger-{host.id}", json.dumps(message).encode())
        await host.drain()
    assert seen == [etag]


async def test_a_run_by_hand_is_given_all_that_a_found_blob_brings(hosted, container):
    await container.put("a.txt", b"by hand")
    host = hosted()
    admin = "/admin/functions/work"
    assert host.post(admin, json={"input": f"{container.name}/a.txt"}).status_code == 202
    host.drain()
    assert sys.modules["function_app"].seen == [[f"{container.name}/a.txt", b"by hand"]]
    refused: httpx.Response = host.post(admin, json={"input": f"{container.name}/none.txt"})
    assert (refused.status_code, refused.json()["title"]) == (400, f"There is no blob '{container.name}/none.txt'.")
