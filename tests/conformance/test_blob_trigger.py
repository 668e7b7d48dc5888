"""The blob trigger on Azurite, against functions-host.md §5: what runs, with what, how often and how many at once."""

import asyncio
import json
import logging
from contextlib import suppress

import azure.functions as func
import pytest

from tests.conformance.blob_host import STORAGE, blob_app, new_container, poisoned, watching
from tests.conformance.storage_host import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def container(azurite):
    async with new_container(azurite) as made:
        yield made


async def test_a_new_blob_runs_its_function_with_content_and_metadata(azurite, container, caplog):
    caplog.set_level(logging.INFO)
    seen = []

    def work(b: func.InputStream):
        seen.append((b.read(), b.name, b.uri, b.length, b.metadata, b.blob_properties))

    async with watching(azurite, blob_app(f"{container.name}/{{name}}", work)) as host:
        etag = await container.put("sub/a b.txt", b"caf\xe9", Owner="me")
        await until(lambda: host.records)
    [(content, name, uri, length, metadata, properties)] = seen
    assert (content, name, length) == (b"caf\xe9", f"{container.name}/sub/a b.txt", 4)
    assert uri == f"{container.client.url}/sub/a%20b.txt"
    assert metadata == {"Owner": "me"}
    assert (properties["ETag"], properties["Length"], properties["BlobType"]) == (etag, 4, "BlockBlob")
    assert f"Executing 'Functions.work' (Reason='New blob detected: {name}', Id={host.records[0].id})" in caplog.text
    assert "DequeueCount: 1, InsertedOn: " in caplog.text and "BlobCreated: " in caplog.text


async def test_each_version_runs_once_a_change_of_metadata_is_a_version(azurite, container):
    seen = []

    def work(b: func.InputStream):
        seen.append((b.read(), b.metadata))

    async with watching(azurite, blob_app(container.name, work)) as host:
        await container.put("a.txt", b"1")
        await until(lambda: len(seen) == 1)
        await container.put("a.txt", b"1")
        await until(lambda: len(seen) == 2)
        await container.client.get_blob_client("a.txt").set_blob_metadata({"k": "v"})
        await until(lambda: len(seen) == 3)
        await host.drain()
    assert seen == [(b"1", {}), (b"1", {}), (b"1", {"k": "v"})]


async def test_blobs_that_are_there_on_the_first_start_run(azurite, container):
    seen = []

    def work(b: func.InputStream):
        seen.append(b.name)

    for number in range(3):
        await container.put(f"{number}")
    async with watching(azurite, blob_app(container.name, work)) as host:
        await host.drain()
    assert sorted(seen) == [f"{container.name}/{number}" for number in range(3)]


async def test_a_container_that_does_not_exist_yet_is_waited_for(azurite, caplog):
    caplog.set_level(logging.DEBUG, "devhost.blobs")
    seen = []

    def work(b: func.InputStream):
        seen.append(b.read())

    async with (
        new_container(azurite, create=False) as container,
        watching(azurite, blob_app(f"{container.name}/{{name}}", work)) as host,
    ):
        await host.drain()
        await container.client.create_container()
        await container.put("a")
        await until(lambda: seen)
    assert caplog.text.count(f"The container '{container.name}' does not exist; it is waited for.") == 1


async def test_path_tokens_choose_blobs_and_name_outputs(azurite, container, caplog):
    caplog.set_level(logging.DEBUG, "devhost.blobs")
    app = func.FunctionApp()

    @app.blob_trigger("b", f"{container.name}/in-{{name}}.{{kind}}", STORAGE)
    @app.blob_output("out", f"{container.name}/{{kind}}/{{name}}-{{Properties.Length}}-{{metadata.Owner}}", STORAGE)
    def work(b: func.InputStream, out: func.Out[str]):
        out.set(b.read().decode().upper())

    async with watching(azurite, app) as host:
        await container.put("in-a.b.txt", b"hello", Owner="me")
        await container.put("IN-c.txt", b"case matters")
        await host.drain()
        assert await container.read("txt/a.b-5-me") == b"HELLO"
        assert len(host.records) == 1
    skipped = "is skipped for 'work': it does not match the path"
    assert f"Blob '{container.name}/IN-c.txt' {skipped}" in caplog.text


async def test_a_version_counts_as_queued_once_it_is_in_the_queue(azurite, container, monkeypatch):
    """By that count `is_idle` knows that it has looked into the queue too early."""
    async with watching(azurite, blob_app(f"{container.name}/{{name}}", lambda b: None)) as host:
        consumer, counts = host.blob_triggers._consumer, []
        put = consumer.queue.put

        async def put_and_count(text, **options):
            counts.append(consumer.queued)
            await put(text, **options)

        monkeypatch.setattr(consumer.queue, "put", put_and_count)
        await container.put("a")
        await host.drain()
        assert (counts, consumer.queued, len(host.records)) == ([0], 1, 1)


async def test_a_blob_written_by_this_hosts_own_output_is_found_at_once(azurite, container):
    app, seen = func.FunctionApp(), []

    @app.blob_trigger("b", f"{container.name}/first/{{name}}", STORAGE)
    @app.blob_output("$return", f"{container.name}/second/{{name}}", STORAGE)
    def first(b: func.InputStream) -> str:
        return b.read().decode()

    @app.blob_trigger("b", f"{container.name}/second/{{name}}", STORAGE)
    def second(b: func.InputStream):
        seen.append(b.read())

    await container.put("first/a", b"x")
    async with watching(azurite, app, DEVHOST_BLOB_SCAN="3600") as host:
        await until(lambda: seen)
        assert [record.function for record in host.records][0] == "first"
    assert seen == [b"x"]


async def test_a_blob_input_has_its_own_content_and_the_trigger_blobs_properties(azurite, container):
    app, seen = func.FunctionApp(), []

    @app.blob_trigger("b", f"{container.name}/in/{{name}}", STORAGE)
    @app.blob_input("side", f"{container.name}/side/{{name}}", STORAGE, data_type=func.DataType.BINARY)
    @app.blob_input("missing", f"{container.name}/none/{{name}}", STORAGE)
    def work(b: func.InputStream, side: func.InputStream, missing: func.InputStream):
        seen.append((side.read(), side.name, side.length, side.uri == b.uri, side.metadata, missing))

    await container.put("side/a", b"beside")
    async with watching(azurite, app) as host:
        await container.put("in/a", b"x", k="v")
        await host.drain()
    assert seen == [(b"beside", f"{container.name}/in/a", 1, True, {"k": "v"}, None)]


async def test_five_failures_at_once_then_the_same_json_in_the_poison_queue(azurite, container):
    counts = []

    def work(b: func.InputStream):
        counts.append(b.name)
        raise ValueError("no")

    async with watching(azurite, blob_app(container.name, work)) as host:
        etag = await container.put("bad", b"x")
        await until(lambda: len(counts) == 5)
        await host.drain()
        [message] = await poisoned(host, container.name)
        waiting = await host.queue(f"azure-webjobs-blobtrigger-{host.id}").approximate_count()
    assert message == {
        "Type": "BlobTrigger",
        "FunctionId": "Host.Functions.work",
        "BlobType": "BlockBlob",
        "ContainerName": container.name,
        "BlobName": "bad",
        "ETag": etag,
    }
    assert (len(counts), waiting) == (5, 0)


async def test_a_failed_run_is_tried_again_at_once(azurite, container, monkeypatch):
    counts = []
    monkeypatch.setattr("devhost.listeners.queue_consumer.Backoff.next", lambda self: 3600.0)

    def work(b: func.InputStream):
        counts.append(b.name)
        if len(counts) < 3:
            raise ValueError("not yet")

    async with watching(azurite, blob_app(container.name, work)) as host:
        await host.drain()
        await container.put("a")
        await until(lambda: len(counts) == 3)
        await host.drain()
        assert await poisoned(host, container.name) == []


async def test_the_poison_threshold_is_an_option(azurite, container):
    counts = []

    def work(b: func.InputStream):
        counts.append(1)
        raise ValueError("no")

    async with watching(azurite, blob_app(container.name, work), {"poisonBlobThreshold": 1}) as host:
        await container.put("bad")
        await until(lambda: counts)
        await host.drain()
        assert len(await poisoned(host, container.name)) == 1
    assert len(counts) == 1


async def test_no_more_run_at_once_than_max_degree_of_parallelism(azurite, container):
    running, most, release = 0, 0, asyncio.Event()

    async def work(b: func.InputStream):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    async with watching(azurite, blob_app(container.name, work), {"maxDegreeOfParallelism": 3}) as host:
        for number in range(8):
            await container.put(f"{number}")
        await until(lambda: running >= 2)
        await asyncio.sleep(0.3)
        release.set()
        await until(lambda: len(host.records) == 8)
    assert 2 <= most <= 3


async def test_a_blob_that_is_gone_or_changed_before_its_turn_is_dropped(azurite, container, caplog):
    caplog.set_level(logging.DEBUG, "devhost.blobs")
    seen, began, release = [], asyncio.Event(), asyncio.Event()

    async def work(b: func.InputStream):
        seen.append((b.name.partition("/")[2], b.read()))
        if len(seen) == 1:
            began.set()
            await release.wait()

    async with watching(azurite, blob_app(container.name, work), {"maxDegreeOfParallelism": 1}) as host:
        await container.put("first")
        await began.wait()
        await container.put("deleted")
        await container.put("changed", b"old")
        queue = host.queue(f"azure-webjobs-blobtrigger-{host.id}")
        async with asyncio.timeout(100):
            while await queue.approximate_count() < 3:
                await asyncio.sleep(0.02)
        await container.client.delete_blob("deleted")
        await container.put("changed", b"new")
        release.set()
        await until(lambda: len(seen) == 2)
        await host.drain()
    assert seen == [("first", b"x"), ("changed", b"new")]
    assert f"Blob '{container.name}/deleted' is dropped for 'work'" in caplog.text


async def test_messages_that_are_for_nobody_are_dropped_and_broken_ones_poisoned(azurite, container):
    async with watching(azurite, blob_app(container.name, lambda b: None)) as host:
        queue = host.queue(f"azure-webjobs-blobtrigger-{host.id}")
        strange = {"FunctionId": "Host.Functions.gone", "ContainerName": container.name, "BlobName": "a", "ETag": "1"}
        await host.put(queue.name, json.dumps(strange).encode())
        await host.put(queue.name, f'{{"ContainerName": "{container.name}"}}'.encode())
        async with asyncio.timeout(100):
            while await queue.approximate_count():
                await asyncio.sleep(0.02)
        assert await poisoned(host, container.name) == [{"ContainerName": container.name}]
        assert host.records == []


async def test_a_blob_that_cannot_be_read_fails_as_a_run_does(azurite, container, caplog):
    async with watching(azurite, blob_app(container.name, lambda b: None)) as host:
        refused = f"{container.name}_"
        message = {"FunctionId": "Host.Functions.work", "ContainerName": refused, "BlobName": "a", "ETag": '"1"'}
        await host.put(f"azure-webjobs-blobtrigger-{host.id}", json.dumps(message).encode())
        async with asyncio.timeout(100):
            while not await poisoned(host, refused):
                await asyncio.sleep(0.02)
        assert host.records == []
    assert caplog.text.count(f"Blob '{refused}/a' cannot be read for 'work': 400") == 5


async def test_stop_ends_what_runs_and_leaves_the_rest_to_the_next_start(azurite, container):
    seen, began, release = [], asyncio.Event(), asyncio.Event()

    async def work(b: func.InputStream):
        seen.append(b.name)
        began.set()
        await release.wait()

    async with watching(azurite, blob_app(container.name, work), {"maxDegreeOfParallelism": 1}) as host:
        for number in range(3):
            await container.put(f"{number}")
        await began.wait()
        [listener] = host.listeners
        stopping = asyncio.create_task(listener.stop())
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(stopping), 0.2)
        assert not stopping.done(), "it waits for what runs"
        release.set()
        await stopping
        assert len(seen) == len(host.records) == 1
        await listener.start()
        await until(lambda: len(host.records) == 3)
        await host.drain()
    assert len(set(seen)) == 3
