"""A process that sends to, receives from and settles in a broker until it is killed, and prints what was acknowledged.

Usage: python -m tests.unit.devhost.servicebus.killed_broker FILE ROUND
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from devhost.servicebus.broker import Broker
from devhost.servicebus.descriptions import QueueDescription
from devhost.servicebus.sqlite_store import SqliteStore
from tests.unit.devhost.servicebus.workbench import Receiver, make, text_of


def report(line: str) -> None:
    """One write: a line is there whole, or not at all."""
    os.write(1, f"{line}\n".encode())


async def main(path: Path, name: str) -> None:
    loop = asyncio.get_running_loop()
    broker = Broker(SqliteStore(path), lambda: time.time_ns() // 1_000_000, loop.call_soon)
    if not broker.queues():
        broker.create_queue(QueueDescription("q", max_delivery_count=1_000))
    queue, target = broker.queue("q"), broker.target("q")
    receiver = Receiver()
    queue.attach(receiver)
    number = 0
    while True:
        for _ in range(5):
            number += 1
            text = f"{name}-{number}"
            target.send([make(text)])
            broker.when_committed(lambda text=text: report(f"sent {text}"))
        receiver.credit = 4
        queue.wake(receiver)
        for position, delivery in enumerate(receiver.deliveries):
            text = text_of(delivery)
            if position == 0:
                queue.abandon(delivery.token)
            elif position == 1:
                queue.dead_letter(delivery.token, "Bad")
                broker.when_committed(lambda text=text: report(f"dead {text}"))
            else:
                report(f"completing {text}")
                queue.complete(delivery.token)
                broker.when_committed(lambda text=text: report(f"completed {text}"))
        receiver.deliveries.clear()
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
