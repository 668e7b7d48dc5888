"""kill -9 at random instants: every instance ends with the right result, and every effect has happened."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devhost.clock import Clock
from devhost.durable.hub import InstanceQuery, RuntimeStatus
from tests.forked import Popen
from tests.unit.devhost.durable.killed_host import ORDERS, expected
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

KILLS = 10


def start_host(hub: Path) -> Popen:
    command = [sys.executable, "-m", "tests.unit.devhost.durable.killed_host", str(hub)]
    host = Popen(command, stdout=subprocess.PIPE)
    assert host.stdout.readline() == "ready\n"
    return host


@pytest.mark.parametrize("hosts", [1, 2])
def test_killed_again_and_again(tmp_path: Path, hosts: int) -> None:
    hub = tmp_path / "hub.sqlite3"
    chance = random.Random(hosts)
    running = [start_host(hub) for _ in range(hosts)]
    for _ in range(KILLS // hosts):
        time.sleep(chance.uniform(0.0, 0.12))  # the instant is the point: nothing to wait for
        victim = running.pop(0)
        victim.kill()
        victim.wait()
        running.append(start_host(hub))
    for host in running:
        assert host.stdout.readline() == "done\n"
        assert host.wait(100) == 0
    asyncio.run(check(hub))
    effects = (tmp_path / "ledger").read_text().split()
    wanted = {name for number in range(ORDERS) for name in expected(number) if isinstance(name, str)}
    assert set(effects) == wanted


async def check(hub: Path) -> None:
    async with Bench(hub, SdkWorker(), Clock()) as bench:
        for number in range(ORDERS):
            assert await bench.output(f"order-{number}") == expected(number)
        views = await bench.hub.query(InstanceQuery(entities=False))
        assert len(views) == 2 * ORDERS
        assert {view.instance.status for view in views} == {RuntimeStatus.COMPLETED}
        async with asyncio.timeout(60):
            while not await bench.hub.is_idle():
                await asyncio.sleep(0)
    assert list(hub.parent.glob("*-host-*")) == []
