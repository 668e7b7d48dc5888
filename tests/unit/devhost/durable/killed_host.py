"""A host that a test kills: runs forty orders on the hub file that it is given, and says when all have ended."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df

from devhost.clock import Clock
from devhost.durable.hub import InstanceExistsError
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

ORDERS = 40


def order(context: df.DurableOrchestrationContext):
    number = context.get_input()
    parts = yield context.task_all([context.call_activity("step", f"{number}.{n}") for n in range(4)])
    yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=200))
    retried = yield context.call_activity_with_retry("flaky", df.RetryOptions(50, 5), f"{number}.flaky")
    packed = yield context.call_sub_orchestrator("pack", number)
    count = yield context.call_entity(df.EntityId("counter", str(number)), "add", 1)
    return [*parts, retried, packed, count]


def pack(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("step", f"{context.get_input()}.pack"))


def counter(context: df.DurableEntityContext) -> None:
    total = context.get_state(lambda: 0) + context.get_input()
    context.set_state(total)
    context.set_result(total)


def expected(number: int) -> list:
    """What an order returns."""
    return [*(f"{number}.{n}" for n in range(4)), f"{number}.flaky", f"{number}.pack", 1]


async def main(path: Path) -> None:
    ledger = (path.parent / "ledger").open("a", buffering=1)

    async def step(name: str) -> str:
        await asyncio.sleep(0.005)
        ledger.write(f"{name}\n")
        return name

    def flaky(name: str) -> str:
        failed = path.parent / f"failed-{name}"
        if not failed.exists():
            failed.touch()
            raise ValueError(name)
        ledger.write(f"{name}\n")
        return name

    worker = SdkWorker(order, pack, activities=(step, flaky), entities=(counter,))
    async with Bench(path, worker, Clock()) as bench:
        for number in range(ORDERS):
            if await bench.hub.get(f"order-{number}") is None:
                with contextlib.suppress(InstanceExistsError):  # the other host was quicker
                    await bench.start("order", number, f"order-{number}")
            if number == 0:
                print("ready", flush=True)
        while True:
            await asyncio.sleep(0.02)
            views = [await bench.view(f"order-{number}") for number in range(ORDERS)]
            if all(view.instance.status.is_final for view in views):
                print("done", flush=True)
                return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
