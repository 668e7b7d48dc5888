"""One of two hosts is killed in the middle of an import, ten times: nothing is lost or doubled, and all orders end."""

from __future__ import annotations

import csv
import json
import random
import struct
import time
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from devhost.azurite import Azurite
from tests.acceptance.processes import BusProcess, HostProcess, wait_until
from tests.conftest import Stock, settings_for
from tests.orders import article, order

KILLS = 10
ROWS = 60
BAD = {7, 30, 60}
PRICE = 500


class Seen:
    """An import and its orders, read past the hosts, which may be dead."""

    def __init__(self, settings: Mapping[str, str], name: str) -> None:
        self._storage = settings["AzureWebJobsStorage"]
        self._name = name
        self._identity = sha256(name.encode()).hexdigest()[:16]

    def upload(self, content: str) -> None:
        with BlobServiceClient.from_connection_string(self._storage) as service:
            service.get_blob_client("order-imports", self._name).upload_blob(content)

    def job(self) -> dict[str, Any]:
        """The row of the import's job; empty before it was taken."""
        query = f"PartitionKey eq 'order-import' and source eq 'blob:order-imports/{self._name}'"
        return (self._rows(query) or [{}])[0]

    def orders(self) -> dict[str, str]:
        """The states of the orders by their ids."""
        query = f"PartitionKey eq 'order' and RowKey ge '{self._identity}-' and RowKey lt '{self._identity}.'"
        return {row["RowKey"]: row["state"] for row in self._rows(query)}

    def booked(self) -> list[int]:
        """The lines that the order book knows, where orders outlast their rows in the ledger."""
        rows = self._rows(f"PartitionKey eq '{self._identity}-rows'", "orders")
        return sorted(line for row in rows for line, _ in struct.iter_unpack(">I32s", row["made"]))

    def id_of(self, line: int) -> str:
        return f"{self._identity}-{line:07}"

    def bad_lines(self, blob: str) -> list[int]:
        container, _, name = blob.partition("/")
        with BlobServiceClient.from_connection_string(self._storage) as service:
            text = service.get_blob_client(container, name).download_blob().readall().decode()
        return [int(row["line"]) for row in csv.DictReader(text.splitlines())]

    def _rows(self, query: str, table: str = "jobs") -> list[dict[str, Any]]:
        with TableServiceClient.from_connection_string(self._storage) as service:
            return [dict(row) for row in service.get_table_client(table).query_entities(query)]


@pytest.mark.timeout(900)
def test_one_of_two_hosts_is_killed_ten_times(sandbox, tmp_path):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    instants = random.Random(seed)
    # An Azurite of its own: the hosts would import what other tests have left in this one.
    with Azurite() as azurite, BusProcess(tmp_path) as bus:
        shop = settings_for(azurite.connection_string, bus.connection_string, sandbox)
        stock = Stock(shop)
        stock.load(article("IMPORT", ROWS, price=PRICE))
        seen = Seen(shop, f"killed-{seed}.jsonl")
        good = {seen.id_of(line) for line in range(1, ROWS + 1) if line not in BAD}
        settings = {
            **shop,
            "IMPORT_ROWS_PER_CHUNK": "1",
            "IMPORT_ORDERS_PER_SECOND": "20",
            "DEVHOST_QUEUE_LEASE": "3",
            "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00",
            "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2",
            "AzureFunctionsJobHost__extensions__queues__maxDequeueCount": str(KILLS + 2),
        }
        hub = str(tmp_path / "hub.sqlite3")
        with (
            HostProcess(tmp_path, settings, "--task-hub", hub) as first,
            HostProcess(tmp_path, settings, "--task-hub", hub) as second,
        ):
            lines = ("{}" if line in BAD else json.dumps(customer(seed, line)) for line in range(1, ROWS + 1))
            seen.upload("\n".join(lines))
            wait_until(seen.orders, f"the import has begun (seed {seed})", pause=0.1)
            met = 0
            for _ in range(KILLS):
                victim = instants.choice((first, second))
                met += seen.job()["state"] == "Running"
                victim.kill()
                victim.start()
                time.sleep(instants.uniform(0, 0.4))
            print(f"{met} kills met the import")
            assert met > KILLS / 2, f"only {met} kills met the import (seed {seed})"
            for host in (first, second):
                host.wait_ready()
            wait_until(lambda: seen.job()["state"] == "Completed", f"the import ends (seed {seed})", pause=0.2)
            ended = Counter({"Completed": len(good)})
            wait_until(
                lambda: Counter(seen.orders().values()) == ended, f"all orders end (seed {seed})", 120, pause=0.5
            )
        result = json.loads(seen.job()["result"])
        assert [result[name] for name in ("rows", "accepted", "orderedBefore", "bad")] == [ROWS, len(good), 0, len(BAD)]
        assert sorted(set(seen.bad_lines(result["report"]["blob"]))) == sorted(BAD)
        assert set(seen.orders()) == good
        assert [seen.id_of(line) for line in seen.booked()] == sorted(good)
        booked = [entry for entry in sandbox.ledger()["entries"] if entry["reference"].removeprefix("order-") in good]
        assert Counter((entry["reference"], entry["kind"]) for entry in booked) == Counter(
            (f"order-{id}", kind) for id in good for kind in ("authorization", "charge")
        )
        assert stock.left("IMPORT") == ROWS - len(good)


def customer(seed: int, line: int) -> dict[str, Any]:
    """The order in a line, in which no other file has it."""
    return order(f"killed-{seed}-{line}", "IMPORT")
