"""Hosts of the app beside one another: they share its work, and those that are left take over from one that ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import httpx

from demo.processes import Process, on_leash

_TAKEN_OVER = (
    "What it had in hand goes to the others: Durable instances at once, timers within a minute, messages of storage "
    "queues and blobs after ten minutes (`make run HOSTS=3 DEVHOST_QUEUE_LEASE=20`: after 20 seconds)."
)
_ONLY = "the host (python -m devhost start)"


@contextlib.contextmanager
def hosts(
    count: int, port: int, task_hub: Path, settings: Mapping[str, str], log: Path | None
) -> Iterator[list[Process]]:
    """Start hosts on `port` and the ports after it, with one task hub; leaving the block lets all drain at once.

    Without a `log` they write where this process writes: several of them with the port before each line.
    Raises demo.processes.StartError.
    """
    with contextlib.ExitStack() as opened:
        started: list[Process] = []
        for each in range(port, port + count):
            command = on_leash("devhost", "start", "--port", str(each), "--task-hub", str(task_hub))
            label = f"{each}  " if count > 1 and log is None else ""
            name = f"the host on port {each} (python -m devhost start)" if count > 1 else _ONLY
            started.append(opened.enter_context(Process(name, command, env=settings, log=log, label=label)))
        opened.callback(lambda: [host.ask_to_stop() for host in started])
        for number, host in enumerate(started):
            host.wait_until(lambda address=f"http://127.0.0.1:{port + number}": _is_running(address))
        yield started


def wait_for_all(started: Sequence[Process], say: Callable[[str], None]) -> int:
    """Wait until every host has ended by itself, and say it of each that leaves others; the exit code of the last."""
    ended: SimpleQueue[tuple[Process, int]] = SimpleQueue()
    for host in started:
        Thread(target=lambda host=host: ended.put((host, host.wait())), daemon=True).start()
    left = list(started)
    while True:
        host, code = ended.get()
        left.remove(host)
        if not left:
            return code
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        say(f"Lost: {host.name} {how}. {_TAKEN_OVER}")


def _is_running(address: str) -> bool:
    try:
        return httpx.get(f"{address}/admin/host/status", timeout=2).json()["state"] == "Running"
    except (httpx.HTTPError, ValueError):
        return False
