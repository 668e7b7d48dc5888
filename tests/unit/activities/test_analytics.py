"""Analytics: each event is one row, however often it is recorded."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from activities import analytics
from jobs.clients import clients
from tests.unit.activities.calls import call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


async def rows(event: str) -> list[dict]:
    condition = "PartitionKey ge @from and PartitionKey lt @to or RowKey ne ''"
    found = clients().table("analytics").query_entities(condition, parameters={"from": "2", "to": "3"})
    return [json.loads(row["properties"]) async for row in found if row["PartitionKey"].endswith(f".{event}")]


async def test_an_event_is_recorded_once():
    event = f"event-{uuid4().hex}"
    recording = call("analytics", {"event": event, "properties": {"n": 1}})
    await analytics.record(recording)
    await analytics.record(recording)
    assert await rows(event) == [{"n": 1}]


@pytest.mark.parametrize("letter", ["漢", "😀", '"'], ids=["three bytes", "four bytes", "escaped"])
async def test_the_largest_event_fits_into_its_row(letter):
    event = f"event-{uuid4().hex}"
    properties = {f"{number:02}".rjust(64, "p"): letter * 200 for number in range(50)}
    await analytics.record(call("analytics", {"event": event, "properties": properties}))
    assert await rows(event) == [properties]


async def test_a_sale_is_an_event():
    before = len(await rows("sale"))
    await analytics.sale(call("record_sale", {"total": 5, "currency": "EUR"}))
    assert len(await rows("sale")) == before + 1
