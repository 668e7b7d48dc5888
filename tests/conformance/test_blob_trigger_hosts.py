"""Blob triggers over restarts, on several hosts of one app, and while storage is away (functions-host.md §5)."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest

from devhost.azurite import Azurite
from devhost.listeners.blob_receipts import HOSTS_CONTAINER
from tests.conformance.blob_host import STORAGE, blob_app, new_container, watching
from tests.conformance.storage_host import new_name, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def container(azurite):
    async with new_container(azurite) as made:
        yield made


async def test_a_version_that_ran_does_not_run_again_after_a_restart(azurite, container, caplog):
    caplog.set_level(logging.DEBUG, "devhost.blobs")
    host_id, seen = new_name("host"), []

    def work(b: func.InputStream):
        seen.append(b.read())

    async with watching(azurite, blob_app(container.name, work), host_id=host_id) as host:
        etag = await container.put("a", b"1")
        await host.drain()
    await container.put("b", b"2")
    async with watching(azurite, blob_app(container.name, work), host_id=host_id) as host:
        await host.drain()
    assert seen == [b"1", b"2"]
    assert f"Blob '{container.name}/a' is skipped for 'work': {etag} has its receipt." in caplog.text


async def test_receipts_and_watermark_are_where_the_real_host_keeps_them(azurite, container):
    host_id = new_name("host")
    async with watching(azurite, blob_app(container.name, lambda b: None), host_id=host_id) as host:
        etag = await container.put("sub/a")
        await host.drain()
        hosts = container.service.get_container_client(HOSTS_CONTAINER)
        name = f"blobreceipts/{host_id}/Host.Functions.work/{etag}/{container.name}/sub/a"
        receipt = await hosts.get_blob_client(name).get_blob_properties()
        assert (receipt.size, receipt.metadata) == (0, {})
        state = f"blobscaninfo/{host_id}/{container.service.account_name}/{container.name}/scanInfo"
        saved = json.loads(await (await hosts.download_blob(state)).readall())
        modified = (await container.client.get_blob_client("sub/a").get_blob_properties()).last_modified
    assert datetime.fromisoformat(saved["LatestScan"]) == modified - timedelta(milliseconds=1)


async def test_after_a_restart_blobs_older_than_the_watermark_are_not_looked_at(azurite, container, caplog):
    caplog.set_level(logging.DEBUG, "devhost.blobs")
    host_id, seen = new_name("host"), []

    def work(b: func.InputStream):
        seen.append(b.name)

    async with watching(azurite, blob_app(f"{container.name}/none", work), host_id=host_id) as host:
        await host.drain()
        hosts = container.service.get_container_client(HOSTS_CONTAINER)
        if not await hosts.exists():
            await hosts.create_container()
        state = f"blobscaninfo/{host_id}/{container.service.account_name}/{container.name}/scanInfo"
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        await hosts.upload_blob(state, json.dumps({"LatestScan": later}), overwrite=True)
    await container.put("old")
    async with watching(azurite, blob_app(container.name, work), host_id=host_id) as host:
        await host.drain()
    assert seen == []
    assert f"Blob '{container.name}/old' is skipped: it is older than the last scan" in caplog.text


async def test_two_hosts_of_an_app_run_each_version_once_and_one_scans(azurite, container):
    host_id, seen = new_name("host"), []
    app = func.FunctionApp()

    @app.blob_trigger("b", f"{container.name}/{{name}}", STORAGE)
    async def work(b: func.InputStream):
        seen.append(b.name)
        await asyncio.sleep(0.1)

    functions = app.get_functions()

    class Again:
        """The same app for the second host: its functions can be asked for only once."""

        get_functions = staticmethod(lambda: functions)

    given = {"host_id": host_id, "queues": {"maxPollingInterval": "00:00:00.1"}}
    async with (
        watching(azurite, Again, {"maxDegreeOfParallelism": 2}, **given) as first,
        watching(azurite, Again, {"maxDegreeOfParallelism": 2}, **given) as second,
    ):
        await asyncio.gather(*(container.put(f"{number}") for number in range(20)))
        await first.drain()
        await second.drain()
        assert [host.blob_triggers.is_scanner for host in (first, second)].count(True) == 1
        assert first.records and second.records
    assert sorted(seen) == sorted(f"{container.name}/{number}" for number in range(20))


async def test_when_the_host_that_scans_ends_another_goes_on(azurite, container):
    host_id, seen = new_name("host"), []
    app = blob_app(container.name, lambda b: seen.append(b.name))
    other = blob_app(container.name, lambda b: seen.append(b.name))
    async with watching(azurite, other, host_id=host_id, DEVHOST_BLOB_SCAN="0.2") as left:
        async with watching(azurite, app, host_id=host_id) as first:
            await container.put("a")
            await first.drain()
        await container.put("b")
        await until(lambda: len(seen) == 2)
        await left.drain()
    assert len(seen) == 2


async def test_storage_that_goes_away_is_said_once_and_waited_for(tmp_path, request, caplog):
    caplog.set_level(logging.WARNING)
    seen = []

    def work(b: func.InputStream):
        seen.append(b.read())

    azurite = Azurite(location=tmp_path, search_from=request.config.rootpath)
    await asyncio.to_thread(azurite.start)
    try:
        async with new_container(azurite) as container, watching(azurite, blob_app(container.name, work)) as host:
            await container.put("a", b"1")
            await host.drain()
            await asyncio.to_thread(azurite.stop)
            service = host.storage.blob_service().name
            await until(lambda: host.outages.is_away(service))
            azurite = Azurite(location=tmp_path, ports=azurite.ports, search_from=request.config.rootpath)
            await asyncio.to_thread(azurite.start)
            await container.put("a", b"2")
            await until(lambda: len(seen) == 2)
            await host.drain()
    finally:
        await asyncio.to_thread(azurite.stop)
    assert seen == [b"1", b"2"]
    said = [record.getMessage() for record in caplog.records if record.name == "devhost.outages"]
    assert len([text for text in said if text.startswith(f"{service} ")]) == 2


async def test_a_container_that_azurite_cannot_list_is_said_once_with_the_remedy(azurite, container, caplog):
    app, seen = func.FunctionApp(), []

    def work(b: func.InputStream):
        seen.append(b.name.partition("/")[2])

    async with new_container(azurite) as bad:
        for name, watched in (("good", container), ("bad", bad)):
            app.function_name(name)(app.blob_trigger("b", f"{watched.name}/{{name}}", STORAGE)(work))
        await bad.put("control\x01character")
        async with watching(azurite, app) as host:
            for name in ("a", "b"):
                await container.put(name)
                await host.drain()
            assert "unreachable" not in caplog.text and "answers again" not in caplog.text
            [said] = [each.getMessage() for each in caplog.records if each.name == "devhost.blobs"]
            assert said.startswith(f"The container '{bad.name}' cannot be scanned (500)")
            assert "a control character in its name: delete that blob" in said
            await bad.client.delete_blob("control\x01character")
            await bad.put("c")
            await until(lambda: len(seen) == 3)
    assert f"The container '{bad.name}' is scanned again." in caplog.text
    assert seen == ["a", "b", "c"]
