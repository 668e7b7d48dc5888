"""What is the SQLite hub's own: failed transactions, sharing between hosts of one process, its file."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from devhost.clock import VirtualClock
from devhost.durable import sqlite_hosts
from devhost.durable.hub import RuntimeStatus
from devhost.durable.sqlite_hub import SqliteTaskHub
from devhost.durable.sqlite_schema import HubVersionError
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "hub.sqlite3"


def chain(context):
    total = 0
    for _ in range(3):
        total += yield context.call_activity("one", total)
    return total


def one(value: object) -> int:
    return 1


class FailingDatabase:
    """A connection whose disk is full now and then."""

    def __init__(self, database: sqlite3.Connection, chance: random.Random) -> None:
        self._database = database
        self._chance = chance
        self.failures = 0

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement == "COMMIT" and self.failures < 5 and self._chance.random() < 0.2:
            self.failures += 1
            raise sqlite3.OperationalError("database or disk is full")
        return self._database.execute(statement, *arguments)

    @property
    def in_transaction(self) -> bool:
        return self._database.in_transaction


async def test_a_transaction_that_fails_is_told_and_tried_again(path: Path, monkeypatch) -> None:
    monkeypatch.setattr("devhost.durable.engine._RETRY_SECONDS", 0.01)
    monkeypatch.setattr("devhost.durable.activities._RETRY_SECONDS", 0.01)
    bench = Bench(path, SdkWorker(chain, activities=(one,)))
    await bench.open()
    ids = [await bench.start("chain") for _ in range(10)]
    failing = FailingDatabase(bench.hub._database, random.Random(1))
    bench.hub._writer._database = failing
    async with asyncio.timeout(100):
        for instance_id in ids:
            while not (await bench.view(instance_id)).instance.status.is_final:
                await asyncio.sleep(0.005)
    assert [await bench.output(instance_id) for instance_id in ids] == [3] * 10
    assert failing.failures == 5
    assert {type(fault) for fault in bench.faults} == {sqlite3.OperationalError}
    bench.faults.clear()
    await bench.engine.stop()


async def test_hosts_of_one_process_share_the_work(path: Path) -> None:
    release = asyncio.Event()

    async def wait(value: object) -> int:
        await release.wait()
        return 1

    def orchestrator(context):
        return sum((yield context.task_all([context.call_activity("wait", n) for n in range(10)])))

    clock = VirtualClock()
    workers = [SdkWorker(orchestrator, activities=(wait,)) for _ in range(2)]
    async with (
        Bench(path, workers[0], clock, max_concurrent_activities=3) as first,
        Bench(path, workers[1], clock, max_concurrent_activities=3) as second,
    ):
        instance_id = await first.start("orchestrator")
        async with asyncio.timeout(100):
            while [worker.running for worker in workers] != [3, 3]:
                await asyncio.sleep(0.001)
        release.set()
        await first.drain()
        await second.drain()
        await first.drain()
        assert await second.output(instance_id) == 10
    assert sorted(value for worker in workers for _, value in worker.calls) == list(range(10))


async def test_a_host_without_durable_functions_leaves_the_instances_to_others(path: Path) -> None:
    clock = VirtualClock()
    async with Bench(path, SdkWorker(), clock) as client:
        instance_id = await client.start("chain")
        await client.drain()
        assert (await client.view(instance_id)).instance.status == RuntimeStatus.PENDING
        async with Bench(path, SdkWorker(chain, activities=(one,)), clock) as worker:
            await worker.drain()
        assert await client.output(instance_id) == 3


async def test_one_instance_never_runs_on_two_hosts_at_once(path: Path) -> None:
    running: set[str] = set()

    class Watching(SdkWorker):
        async def run_orchestrator(self, name: str, payload: str, instance_id: str, is_short: bool) -> str:
            assert instance_id not in running
            running.add(instance_id)
            await asyncio.sleep(0)
            try:
                return await super().run_orchestrator(name, payload, instance_id, is_short)
            finally:
                running.discard(instance_id)

    def listener(context):
        total = context.get_input() or 0
        for _ in range(5):
            total += yield context.wait_for_external_event("add")
        if total < 30:
            context.continue_as_new(total)
        return total

    clock = VirtualClock()
    async with Bench(path, Watching(listener), clock) as first, Bench(path, Watching(listener), clock) as second:
        instance_id = await first.start("listener")
        for n in range(30):
            await (first, second)[n % 2].raise_event(instance_id, "add", 1)
            if n % 5 == 4:
                await first.drain()
                await second.drain()
        assert await first.output(instance_id) == 30


async def test_a_file_of_another_format_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(HubVersionError, match="format 99"):
        await SqliteTaskHub(path, VirtualClock()).start(lambda instance_id: None, lambda: None)


async def test_checkpoints_keep_the_wal_small(path: Path, monkeypatch) -> None:
    monkeypatch.setattr("devhost.durable.sqlite_writer._CHECKPOINT_TRANSACTIONS", 20)
    monkeypatch.setattr("devhost.durable.sqlite_writer._LONG_WAL_FRAMES", 200)
    async with Bench(path, SdkWorker(chain, activities=(one,))) as bench:
        for _ in range(100):
            await bench.result("chain")
        assert path.with_name(path.name + "-wal").stat().st_size < 12_000_000, "26 MB without them"


def test_a_host_is_alive_as_long_as_its_process_and_its_lock(path: Path) -> None:
    path.parent.mkdir()
    lock = sqlite_hosts.HostLock(path)
    assert sqlite_hosts.is_alive(path, lock.id, os.getpid())
    assert not sqlite_hosts.is_alive(path, lock.id, 2**22 + 1)  # a forked child may still hold the lock
    lock.release(leave_file=True)
    assert not sqlite_hosts.is_alive(path, lock.id, os.getpid())
    assert not sqlite_hosts.is_alive(path, "never was", os.getpid())
