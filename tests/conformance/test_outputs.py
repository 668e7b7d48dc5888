"""Queue, blob and table outputs and inputs on Azurite, against functions-host.md §2.3, §2.4 and §5."""

import base64
import json
import logging

import azure.functions as func
import pytest

from tests.conformance.storage_host import new_name, running, until

pytestmark = pytest.mark.anyio

STORAGE = "AzureWebJobsStorage"


async def outcome(azurite, decorate, work, body=b"x", queues=None, check=None, setup=None):
    """Run `work` once for a queue message and return what `check(host)` found, and whether the run succeeded."""
    name, app = new_name(), func.FunctionApp()
    function = app.queue_trigger("msg", name, STORAGE)(work)
    app.function_name("work")(decorate(app)(function))
    async with running(azurite.connection_string, app, {"maxDequeueCount": 1, **(queues or {})}) as host:
        if setup:
            await setup(host)
        await host.put(name, body)
        await until(lambda: host.records)
        await host.drain()
        return await check(host), host.records[0].error


def queue_output(name):
    return lambda app: app.queue_output("out", name, STORAGE)


async def sent(azurite, work, body=b"x"):
    """The bodies that `work` put into its output queue `out`."""
    name = new_name("Out")
    bodies, error = await outcome(azurite, queue_output(name), work, body, check=lambda host: host.bodies(name.lower()))
    assert error is None
    return bodies


async def test_text_arrives_as_it_is_in_a_queue_made_on_demand(azurite):
    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set("Grüße, 1")

    assert await sent(azurite, work) == ["Grüße, 1".encode()]


async def test_an_array_in_a_text_becomes_a_message_per_element(azurite):
    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set('["a", {"b": [1]}, true, null, 2]')

    assert await sent(azurite, work) == [b"a", b'{\n  "b": [\n    1\n  ]\n}', b"True", b"", b"2"]


async def test_an_object_is_indented_again(azurite):
    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set('{"kind":"order","input":{}}')

    assert await sent(azurite, work) == [b'{\n  "kind": "order",\n  "input": {}\n}']


async def test_a_dict_on_an_annotated_output_is_json(azurite):
    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set({"a": 1})

    assert await sent(azurite, work) == [b'{\n  "a": 1\n}']


async def test_a_dict_without_annotation_sends_its_keys(azurite):
    def work(msg: func.QueueMessage, out):
        out.set({"a": 1, "b": 2})

    assert await sent(azurite, work) == [b"a", b"b"]


async def test_a_queue_message_object_travels_as_its_envelope(azurite):
    def work(msg: func.QueueMessage, out: func.Out[func.QueueMessage]):
        out.set(func.QueueMessage(id="7", body="hello"))

    [body] = await sent(azurite, work)
    assert json.loads(body) == {"id": "7", "body": "hello"} and b"\n" in body


async def test_bytes_pass_through_even_if_they_look_like_json(azurite):
    def work(msg: func.QueueMessage, out: func.Out[bytes]):
        out.set(b'["a","b"]\xff')

    assert await sent(azurite, work) == [b'["a","b"]\xff']


async def test_encoding_none_sends_plain_text(azurite):
    name = new_name()

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set("plain & simple")

    texts, _ = await outcome(
        azurite, queue_output(name), work, body="x", queues={"messageEncoding": "none"},
        check=lambda host: host.queue(name).peek(32),
    )  # fmt: skip
    assert texts == ["plain & simple"]


async def test_the_return_value_may_be_a_message(azurite):
    name, app, out = new_name(), func.FunctionApp(), new_name()

    @app.queue_trigger("msg", name, STORAGE)
    @app.queue_output("$return", out, STORAGE)
    def work(msg: func.QueueMessage) -> str:
        return "back"

    async with running(azurite.connection_string, app) as host:
        await host.put(name, b"x")
        await until(lambda: host.records)
        assert await host.bodies(out) == [b"back"]


async def test_what_was_set_before_an_exception_is_lost(azurite):
    name = new_name()

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set("lost")
        raise ValueError("no")

    exists, error = await outcome(azurite, queue_output(name), work, check=lambda host: host.queue(name).exists())
    assert not exists and "ValueError: no" in str(error)


async def test_an_output_that_fails_fails_the_invocation(azurite):
    name = new_name()

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set("x" * 70_000)

    _, error = await outcome(azurite, queue_output(name), work, check=lambda host: host.queue(name).exists())
    assert "413" in str(error)


async def test_an_output_wakes_a_listener_of_the_same_process(azurite, monkeypatch):
    monkeypatch.setattr("devhost.listeners.backoff.FIRST_PAUSE", 3600.0)
    first, second, app, seen = new_name(), new_name(), func.FunctionApp(), []

    @app.queue_trigger("msg", first, STORAGE)
    @app.queue_output("out", second, STORAGE)
    def one(msg: func.QueueMessage, out: func.Out[str]):
        out.set(msg.get_body().decode())

    @app.queue_trigger("msg", second, STORAGE)
    def two(msg: func.QueueMessage):
        seen.append(msg.get_body())

    async with running(azurite.connection_string, app, {"maxPollingInterval": "01:00:00"}) as host:
        await host.drain()
        await host.put(first, b"ping")
        await until(lambda: seen)
    assert seen == [b"ping"]


async def test_names_from_the_message_choose_the_queue(azurite):
    name = new_name()

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set("x")

    decorate = lambda app: app.queue_output("out", "{where.Queue}-{sys.methodname}", STORAGE)  # noqa: E731
    bodies, error = await outcome(
        azurite, decorate, work, json.dumps({"where": {"queue": name}}).encode(),
        check=lambda host: host.bodies(f"{name}-work"),
    )  # fmt: skip
    assert (bodies, error) == ([b"x"], None)


async def test_a_missing_name_fails_the_invocation_before_the_function_runs(azurite):
    ran = []

    def work(msg: func.QueueMessage, out: func.Out[str]):
        ran.append(1)

    async def nothing(host):
        return None

    decorate = lambda app: app.queue_output("out", "{nobody}", STORAGE)  # noqa: E731
    _, error = await outcome(azurite, decorate, work, check=nothing)
    assert "No value for named parameter 'nobody'." in str(error)
    assert ran == []


async def read_blob(host, path):
    client = host.storage.blobs().get_blob_client(*path.split("/", 1))
    content = await (await client.download_blob()).readall()
    return content, (await client.get_blob_properties()).metadata


@pytest.mark.parametrize(
    ("value", "content"), [("Grüße", "Grüße".encode()), (b"\xff\x00", b"\xff\x00"), ('{"a":1}', b'{"a":1}')]
)
async def test_blob_output_writes_content_and_parent_and_makes_the_container(azurite, value, content):
    path = f"{new_name()}/sub/{{id}}.txt"

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set(value)

    decorate = lambda app: app.blob_output("out", path, STORAGE)  # noqa: E731
    (found, metadata), error = await outcome(
        azurite, decorate, work, b'{"id": "n7"}', check=lambda host: read_blob(host, path.replace("{id}", "n7"))
    )
    assert (found, error) == (content, None)
    assert len(metadata["AzureWebJobsParentId"]) == 36


async def test_blob_output_overwrites_and_keeps_metadata(azurite):
    container = new_name()

    async def setup(host):
        service = host.storage.blobs()
        await service.create_container(container)
        await service.get_blob_client(container, "a.txt").upload_blob(b"old and longer", metadata={"Owner": "me"})

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set("new")

    decorate = lambda app: app.blob_output("out", f"{container}/a.txt", STORAGE)  # noqa: E731
    (content, metadata), _ = await outcome(
        azurite, decorate, work, setup=setup, check=lambda host: read_blob(host, f"{container}/a.txt")
    )
    assert content == b"new"
    assert metadata["Owner"] == "me" and "AzureWebJobsParentId" in metadata


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, "gr\ufffdn"), ({"data_type": func.DataType.BINARY}, b"gr\xfcn")],
)
async def test_blob_input_is_text_unless_binary(azurite, options, expected):
    container, seen = new_name(), []

    async def setup(host):
        await host.storage.blobs().create_container(container)
        await host.storage.blobs().get_blob_client(container, "7.bin").upload_blob(b"gr\xfcn")

    def work(msg: func.QueueMessage, source: func.InputStream):
        seen.append(source.read())

    async def nothing(host):
        return None

    decorate = lambda app: app.blob_input("source", f"{container}/{{id}}.bin", STORAGE, **options)  # noqa: E731
    _, error = await outcome(azurite, decorate, work, b'{"id": 7}', setup=setup, check=nothing)
    assert error is None
    assert seen == [expected.encode() if isinstance(expected, str) else expected]


async def test_a_missing_blob_is_none(azurite):
    seen = []

    def work(msg: func.QueueMessage, source: str):
        seen.append(source)

    async def nothing(host):
        return None

    decorate = lambda app: app.blob_input("source", f"{new_name()}/none.txt", STORAGE)  # noqa: E731
    _, error = await outcome(azurite, decorate, work, check=nothing)
    assert (seen, error) == ([None], None)


async def rows(host, table):
    client = host.storage.tables().get_table_client(table)
    return sorted([dict(row) async for row in client.list_entities()], key=lambda row: row["RowKey"])


async def test_table_output_inserts_objects_and_makes_the_table(azurite):
    table = new_name("t")

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set(json.dumps([{"rowkey": "1", "Name": "a", "Count": 5, "Big": 2**40, "Ok": True, "Ratio": 0.5},
                            {"RowKey": "2", "PartitionKey": "other", "Name": None}]))  # fmt: skip

    decorate = lambda app: app.table_output("out", STORAGE, table, partition_key="{kind}", row_key="r")  # noqa: E731
    found, error = await outcome(azurite, decorate, work, b'{"kind": "k"}', check=lambda host: rows(host, table))
    assert error is None
    assert found == [
        {"PartitionKey": "k", "RowKey": "1", "Name": "a", "Count": (5, "Edm.Int64"), "Big": (2**40, "Edm.Int64"),
         "Ok": True, "Ratio": 0.5},
        {"PartitionKey": "other", "RowKey": "2"},
    ]  # fmt: skip


async def test_table_output_never_overwrites(azurite):
    table = new_name("t")

    async def setup(host):
        client = await host.storage.tables().create_table(table)
        await client.create_entity({"PartitionKey": "p", "RowKey": "2", "Name": "old"})

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set(json.dumps([{"RowKey": "1"}, {"RowKey": "2", "Name": "new"}]))

    decorate = lambda app: app.table_output("out", STORAGE, table, partition_key="p")  # noqa: E731
    found, error = await outcome(azurite, decorate, work, setup=setup, check=lambda host: rows(host, table))
    assert "EntityAlreadyExists" in str(error)
    assert found == [{"PartitionKey": "p", "RowKey": "2", "Name": "old"}], "the partition is one transaction"


@pytest.mark.parametrize(
    ("value", "message"),
    [('"text"', "takes a JSON object"), ('{"RowKey": "1", "a": [1]}', "only a scalar"), ('{"a": 1}', "no RowKey")],
)
async def test_table_output_refuses_what_is_no_row(azurite, value, message):
    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set(value)

    async def nothing(host):
        return None

    decorate = lambda app: app.table_output("out", STORAGE, new_name("t"), partition_key="p")  # noqa: E731
    _, error = await outcome(azurite, decorate, work, check=nothing)
    assert message in str(error)


async def test_a_text_that_only_looks_like_json_fails_as_in_the_real_host(azurite, caplog):
    caplog.set_level(logging.ERROR)
    name = new_name()

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set("{hello}")

    _, error = await outcome(azurite, queue_output(name), work, check=lambda host: host.queue(name).exists())
    assert "starts and ends like JSON" in str(error)


async def test_a_producers_base64_and_the_hosts_are_the_same(azurite):
    name = new_name()

    def work(msg: func.QueueMessage, out: func.Out[str]):
        out.set("x")

    texts, _ = await outcome(azurite, queue_output(name), work, check=lambda host: host.queue(name).peek())
    assert texts == [base64.b64encode(b"x").decode()]
