"""Imports of orders: each good row is one order, however often its file comes; each bad row is reported."""

from __future__ import annotations

import asyncio
import json
import math
import random
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from jobs.import_file import MOST_ROWS
from jobs.settings import Settings
from orchestrators.order_import import CHUNKS_IN_PART
from tests.integration.bus_seen import Bus
from tests.integration.importing import Imports, counts, identity, row, table
from tests.integration.jobs_seen import PIECES, PRICE, fresh

SLOWLY = "0.001"
"""Orders a second: the first begins, and the others hardly ever."""


@pytest.fixture
def imports(open_shop, jobs_of) -> Iterator[Callable[..., Imports]]:
    """Opens a shop that begins few of the orders, unless told otherwise, and imports files there."""
    opened = []

    def open_one(**settings: str) -> Imports:
        opened.append(Imports(jobs_of(open_shop(**{"IMPORT_ORDERS_PER_SECOND": SLOWLY, **settings}))))
        return opened[-1]

    yield open_one
    opened[-1].clear()


def largest_history(shop) -> int:
    """Events of the instance that has the most."""
    with sqlite3.connect(shop.app.options.task_hub) as hub:
        sums = hub.execute("SELECT sum(json_array_length('[' || events || ']')) FROM history GROUP BY instance")
        return max(number for (number,) in sums)


def test_2000_rows(imports, bus: Bus):
    """Imported, imported again under another name, then corrected."""
    there = imports()
    sku, name = there.jobs.sku, f"{fresh('file')}.csv"
    bad = set(random.Random(1).sample(range(2, 2002), 37))
    rows = [row(f"c{line}", sku, email="none" if line in bad else None) for line in range(2, 2002)]

    first = there.ended(table(rows), name)
    assert (first["status"], counts(first)) == ("Completed", [2000, 1963, 0, 37]), first
    assert [int(each["line"]) for each in there.bad_rows(first)] == sorted(bad)
    assert {each["field"] for each in there.bad_rows(first)} == {"email"}
    orders = there.orders(identity(name))
    assert set(orders) == set(range(2, 2002)) - bad
    assert {each["correlationId"] for each in orders.values()} == {first["correlationId"]}
    assert bus.scheduled("jobs") + there.jobs.runs()["take_bus_job"] == 1963

    again = there.ended(table(rows), f"other-{name}")
    assert counts(again) == [2000, 0, 1963, 37]

    left = {line for line in bad if line < 202}
    fixed = [row(f"c{line}", sku) for line in range(2, 202)]
    changed = next(line for line in range(2, 202) if line not in bad)
    fixed[changed - 2] = row("somebody-else", sku)
    corrected = there.ended(table(fixed), name)
    assert counts(corrected) == [200, len(left), 199 - len(left), 1]
    (reported,) = there.bad_rows(corrected)
    assert (reported["line"], reported["field"]) == (str(changed), "")
    assert reported["reason"].startswith("this line was ordered before with other content")
    assert there.orders(identity(f"other-{name}")) == {}
    assert set(there.orders(identity(name))) == set(orders) | left
    assert (there.shop.failures, bus.dead("jobs")) == ([], [])
    assert largest_history(there.shop) < 100


def test_all_orders_of_a_small_file(imports, bus: Bus):
    """They sell what there is, one piece each, and the rest is refused; a line without end, and a mark at the start."""
    there = imports(IMPORT_ORDERS_PER_SECOND="1000")
    jobs, name = there.jobs, f"{fresh('file')}.jsonl"
    orders = [json.dumps(jobs.order(f"{name}-{number}"), ensure_ascii=False) for number in range(PIECES + 2)]
    content = "\ufeff" + "\r\n".join([*orders[:5], '{"customer": {"id": "x"}}', "", *orders[5:]])

    done = there.ended(content.encode(), name)
    assert (done["status"], counts(done)) == ("Completed", [PIECES + 3, PIECES + 2, 0, 1]), done
    assert {(each["line"], each["field"]) for each in there.bad_rows(done)} == {
        ("6", field) for field in ("card", "currency", "customer.name", "customer.email", "customer.address")
    }
    assert there.summary(done)["complete"] is True
    there.shop.drain()
    found = there.orders(identity(name)).values()
    assert Counter(each["state"] for each in found) == {"Completed": PIECES, "Failed": 2}
    assert jobs.left() == 0
    assert sum(jobs.balance(each["RowKey"]) for each in found) == PIECES * PRICE
    assert {letter.reason for letter in bus.dead()} == {"OutOfStock"}
    # Nothing sensitive but in the claims.
    assert "Lovelace" not in str(found) + str(jobs.blobs("import-reports", done["id"]))
    assert [name for name in jobs.blobs("claims", f"order-import/{done['id']}/") if not name.endswith(".jsonl")] == []


@pytest.fixture
def halfway(monkeypatch) -> Callable[..., str]:
    """Imports 200 rows, ten a step, and does something before the third 40 of them are taken: the job's id."""

    def run(there: Imports, name: str, act: Callable[[str], object]) -> str:
        held, go_on = threading.Event(), threading.Event()
        app = sys.modules["activities.imports"]
        take_chunk = app.take_chunk

        async def hold(call):
            if call.input["chunk"] >= 8 and not go_on.is_set():
                held.set()
                await asyncio.to_thread(go_on.wait, 30)
            return await take_chunk(call)

        monkeypatch.setattr(app, "take_chunk", hold)
        id = there.begin(there.upload(table(row(f"c{number}", there.jobs.sku) for number in range(200)), name))
        assert held.wait(100)
        act(id)
        go_on.set()
        there.shop.drain()
        return id

    return run


def test_cancelled_halfway(imports, halfway):
    """What was accepted stays accepted, and is named."""
    there, name = imports(IMPORT_ROWS_PER_CHUNK="10"), f"{fresh('file')}.csv"

    def cancel(id: str) -> None:
        progress = there.jobs.status(id, "order-import")["progress"]
        assert progress == {"percent": 46, "step": "import_chunk", "rows": 80, "of": 200}
        assert there.shop.post(f"/api/jobs/order-import/{id}/cancel").status_code == 202

    status = there.jobs.ended(halfway(there, name, cancel), "order-import")
    assert (status["status"], counts(status)) == ("Cancelled", [120, 120, 0, 0])
    assert set(there.orders(identity(name))) == set(range(2, 122))
    assert there.summary(status)["complete"] is False
    # What the largest file costs by these numbers: three parts are done, and all else happens once.
    parts = math.ceil(MOST_ROWS / Settings.import_rows_per_chunk / CHUNKS_IN_PART)
    assert parts >= 50 and largest_history(there.shop) / 3 * parts < 1000


def test_replaced_halfway(imports, halfway, bus: Bus):
    """The old version ends as failed, with what it had accepted; the new one goes on from there."""
    there, name = imports(IMPORT_ROWS_PER_CHUNK="10"), f"{fresh('file')}.csv"
    newer = []

    def replace(_: str) -> None:
        newer.append(there.upload(table(row(f"c{number}", there.jobs.sku) for number in range(100)), name))

    old = there.jobs.ended(halfway(there, name, replace), "order-import")
    assert (old["status"], old["error"]["type"], counts(old)) == ("Failed", "BlobChanged", [80, 80, 0, 0])
    assert there.summary(old)["complete"] is False
    (letter,) = bus.dead()
    assert letter.reason == "BlobChanged"
    there.begin(newer[0])
    # It may have to wait until the old one has ended.
    there.shop.advance(minutes=1)
    new = there.jobs.ended(there.begin(newer[0]), "order-import")
    assert (new["status"], counts(new)) == ("Completed", [100, 20, 80, 0])


def test_without_a_service_bus_a_chunk_waits_for_it(imports, bus: Bus, monkeypatch):
    """Its orders are in the ledger then; the repetition sends the messages that begin them."""
    there = imports()
    app = sys.modules["jobs.import_hand_over"]
    send, tries = app.send, []

    async def away(orders):
        tries.append(len(orders))
        if len(tries) == 1:
            raise sys.modules["jobs.errors"].ServiceBusUnavailableError("away")
        await send(orders)

    monkeypatch.setattr(app, "send", away)
    name = f"{fresh('file')}.csv"
    id = there.begin(there.upload(table(row(f"c{number}", there.jobs.sku) for number in range(20)), name))
    there.shop.drain()
    assert (len(there.orders(identity(name))), bus.scheduled("jobs"), tries) == (20, 0, [20])
    there.shop.advance(minutes=1)
    status = there.jobs.ended(id, "order-import")
    assert (status["status"], counts(status), tries) == ("Completed", [20, 20, 0, 0], [20, 20])
    assert bus.scheduled("jobs") == 19
