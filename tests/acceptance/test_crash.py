"""`kill -9` of the host at random instants: every order ends, none is charged twice, stock and money balance."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping

import httpx
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueClient

from tests.acceptance.processes import HostProcess, wait_until
from tests.orders import article, order

KILLS = 30
ORDERS = 40
PRICE = 1250


def test_kill_9_at_30_instants(shop_settings, stock, sandbox, tmp_path):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    instants = random.Random(seed)
    stock.load(article("CRASH", ORDERS * 2, price=PRICE))
    # A slow gateway keeps orders on their way for as long as it takes to kill the host so often.
    sandbox.fault({"when": {"operation": "charge"}, "fault": "slow", "delay": 0.3})
    sandbox.fault({"when": {"operation": "authorize"}, "fault": "slow", "delay": 0.2})
    settings = {
        **shop_settings,
        # A killed host hides its messages for the length of the lease, and each kill costs them one delivery.
        "DEVHOST_QUEUE_LEASE": "3",
        "AzureFunctionsJobHost__extensions__queues__maxDequeueCount": "100",
    }
    ids = [f"crash-{seed}-{number}" for number in range(ORDERS)]
    host = HostProcess(tmp_path, settings, "--task-hub", str(tmp_path / "hub.sqlite3"))
    to_submit = list(ids)
    open_at_kill = []
    with host:
        for life in range(1, KILLS + 1):
            deadline = time.monotonic() + instants.uniform(0, 0.8)
            while time.monotonic() < deadline:
                # A few orders in each life, so that every kill meets some on their way.
                if len(to_submit) > ORDERS * (KILLS - life) / KILLS:
                    submit(host.url, shop_settings, to_submit)
                else:
                    time.sleep(0.005)
            host.kill()
            open_at_kill.append(ORDERS - len(to_submit) - completed(shop_settings, seed))
            host.start()
            if instants.random() < 0.8:  # otherwise it dies while it starts
                host.wait_ready()
        host.wait_ready()
        while to_submit:
            submit(host.url, shop_settings, to_submit)

        def have_ended() -> bool:
            return completed(shop_settings, seed) == ORDERS

        wait_until(have_ended, f"every order ends (seed {seed})", seconds=250, pause=0.2)
        answers = {id: httpx.get(f"{host.url}/api/jobs/order/{id}", timeout=30) for id in ids}
        assert {id: answer.json()["status"] for id, answer in answers.items()} == dict.fromkeys(ids, "Completed")

    assert sum(number > 0 for number in open_at_kill) > KILLS / 2, f"the kills met too little: {open_at_kill}"
    for id in ids:
        kinds = [entry["kind"] for entry in sandbox.ledger(f"order-{id}")["entries"]]
        assert sorted(kinds) == ["authorization", "charge"], f"{id}: {kinds} (seed {seed})"
    entries = [entry for entry in sandbox.ledger()["entries"] if entry["reference"].startswith(f"order-crash-{seed}-")]
    assert sum(entry["amount"] for entry in entries if entry["kind"] == "charge") == ORDERS * PRICE
    assert stock.left("CRASH") == ORDERS


def completed(settings: Mapping[str, str], seed: int) -> int:
    """How many of this run's orders are done, by the ledger and not by the host, which is dead."""
    query = f"PartitionKey eq 'order' and RowKey ge 'crash-{seed}-' and state eq 'Completed'"
    with TableServiceClient.from_connection_string(settings["AzureWebJobsStorage"]) as service:
        return sum(
            row["RowKey"].startswith(f"crash-{seed}-") for row in service.get_table_client("jobs").query_entities(query)
        )


def submit(url: str, settings: Mapping[str, str], to_submit: list[str]) -> None:
    """Hand in the next order by HTTP or by queue, as a client that tries again when nobody answers."""
    id = to_submit[0]
    job = {"kind": "order", "id": id, "input": order(id, "CRASH")}
    if len(to_submit) % 2:
        try:
            answer = httpx.post(f"{url}/api/jobs/order", json=job["input"], headers={"Idempotency-Key": id}, timeout=5)
        except httpx.TransportError:
            return
        assert answer.status_code in (200, 202), answer.text
    else:
        with QueueClient.from_connection_string(settings["AzureWebJobsStorage"], "jobs") as queue:
            queue.send_message(json.dumps(job))
    to_submit.pop(0)
