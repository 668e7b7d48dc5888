"""The order book: whose order it is that has an id."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from activities import orders
from jobs import clock, ledger, order_book
from jobs.clients import clients
from tests.unit.activities.calls import call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

SOLD = {"lines": [], "total": 1, "currency": "EUR", "charge": "charge_1"}
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("run", [1, 2])
async def test_an_id_is_taken_for_every_job_but_the_one_that_is_in_the_book(run):
    # By its sender's clock, which may be ahead.
    job = replace(call("").job, submitted_at=ledger.written(clock.now() + HOUR), run=run)
    assert not await order_book.is_taken(job)
    other = replace(job, submitted_at=ledger.written(clock.now() + 2 * HOUR))
    await orders.confirm(replace(call("", SOLD), job=job))
    for run in (1, 2, 3):
        assert not await order_book.is_taken(replace(job, run=run))
        assert await order_book.is_taken(replace(other, run=run))
    await orders.withdraw(replace(call(""), job=job))
    assert not await order_book.is_taken(other)


async def test_an_order_that_an_older_version_confirmed_is_known_by_its_age():
    job = call("").job
    await clients().table("orders").create_entity({"PartitionKey": job.id, "RowKey": "order", "state": "Confirmed"})
    assert not await order_book.is_taken(replace(job, submitted_at=ledger.written(clock.now() - HOUR)))
    assert await order_book.is_taken(replace(job, submitted_at=ledger.written(clock.now() + HOUR)))


async def test_a_change_of_address_takes_no_id():
    job = call("").job
    await clients().table("orders").create_entity({"PartitionKey": job.id, "RowKey": "changes", "sequence": 1})
    assert not await order_book.is_taken(replace(job, submitted_at=ledger.written(clock.now() + HOUR)))
