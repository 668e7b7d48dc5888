"""Table inputs on Azurite, against functions-host.md §2.4."""

import json
from datetime import UTC, datetime
from uuid import UUID

import azure.functions as func
import pytest
from azure.data.tables import EdmType, EntityProperty

from tests.conformance.storage_host import new_name
from tests.conformance.test_outputs import STORAGE, outcome

pytestmark = pytest.mark.anyio


async def nothing(host): ...


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"partition_key": "p", "row_key": "{id}"}, "2"),
        ({"partition_key": "p"}, ["1", "2", "3"]),
        ({"partition_key": "p", "take": 2}, ["1", "2"]),
        ({"partition_key": "p", "filter": "Count gt {id}"}, ["3"]),
        ({"filter": "PartitionKey eq 'q'"}, ["9"]),
        ({"partition_key": "p", "filter": "Count eq 1 or Count eq 9"}, ["1", "9"]),
        ({"row_key": "2", "take": 3}, ["1", "2", "3"]),
        ({"partition_key": "p", "row_key": "none"}, None),
    ],
)
async def test_table_input_is_json_text(azurite, options, keys):
    table, seen = new_name("t"), []

    async def setup(host):
        client = await host.storage.tables().create_table(table)
        for partition, key in (("p", "1"), ("p", "2"), ("p", "3"), ("q", "9")):
            await client.create_entity({"PartitionKey": partition, "RowKey": key, "Count": int(key)})

    def work(msg: func.QueueMessage, source):
        seen.append(source)

    decorate = lambda app: app.table_input("source", STORAGE, table, **options)  # noqa: E731
    _, error = await outcome(azurite, decorate, work, b'{"id": 2}', setup=setup, check=nothing)
    assert error is None
    [text] = seen
    found = json.loads(text) if text is not None else None
    assert (found["RowKey"] if isinstance(found, dict) else found and [row["RowKey"] for row in found]) == keys


async def test_a_row_is_its_columns_and_keys_without_a_timestamp(azurite):
    table, seen = new_name("t"), []

    async def setup(host):
        client = await host.storage.tables().create_table(table)
        born = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
        await client.create_entity(
            {"PartitionKey": "p", "RowKey": "r", "Born": born, "Big": EntityProperty(2**40, EdmType.INT64),
             "Half": 0.5, "Yes": True, "Raw": b"\x00\xff", "Id": UUID(int=7)}
        )  # fmt: skip

    def work(msg: func.QueueMessage, source):
        seen.append(json.loads(source))

    decorate = lambda app: app.table_input("source", STORAGE, table, partition_key="p", row_key="r")  # noqa: E731
    _, error = await outcome(azurite, decorate, work, setup=setup, check=nothing)
    assert error is None
    [row] = seen
    assert row.pop("Born").startswith("2026-03-29T01:30:00")
    assert row == {"PartitionKey": "p", "RowKey": "r", "Big": 2**40, "Half": 0.5, "Yes": True, "Raw": "AP8=",
                   "Id": "00000000-0000-0000-0000-000000000007"}  # fmt: skip


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ("Count gt {id}", "An invalid parameter value was specified for filter parameter 'id'."),
        ("Count gt 0", "The table specified does not exist"),
    ],
)
async def test_rows_that_cannot_be_asked_for_fail_the_run(azurite, filter, message):
    def work(msg: func.QueueMessage, source): ...

    decorate = lambda app: app.table_input("source", STORAGE, new_name("t"), filter=filter)  # noqa: E731
    _, error = await outcome(azurite, decorate, work, b'{"id": "1 or true"}', check=nothing)
    assert message in str(error)
