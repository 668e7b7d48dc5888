"""DBOS on SQLite, with its defaults (rollback journal, synchronous FULL); workflows and client in one process.

Steps are plain functions, as in its tutorial. The fan-out gathers asynchronous steps, the quickest of the ways tried:
1,000 child workflows or 1,000 queued steps took about three times as long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dbos import DBOS, WorkflowHandle

from bench import process
from bench.workload import CITIES


def greet(name: str) -> str:
    return f"Hello {name}!"


@DBOS.step()
def say_hello(name: str) -> str:
    return greet(name)


@DBOS.step()
async def say_hello_concurrently(name: str) -> str:
    return greet(name)


@DBOS.workflow()
def hello_chain(_: None) -> list[str]:
    return [say_hello(city) for city in CITIES]


@DBOS.workflow()
async def fan_out(width: int) -> list[str]:
    return await asyncio.gather(*(say_hello_concurrently(str(n)) for n in range(width)))


class Dbos:
    """DBOS with its system database in a SQLite file."""

    name = "dbos"
    _workflows = {"hello_chain": hello_chain, "fan_out": fan_out}

    def __init__(self, directory: Path) -> None:
        DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{directory / 'dbos.sqlite'}"})

    def start(self) -> float:
        DBOS.launch()
        return process.spawned_at()

    def run(self, orchestration: str, inputs: Sequence[int | None]) -> Sequence[WorkflowHandle]:
        handles = [DBOS.start_workflow(self._workflows[orchestration], width) for width in inputs]
        for handle in handles:
            handle.get_result()
        return handles

    def result(self, handle: WorkflowHandle) -> Any:
        return handle.get_result()

    def memory_bytes(self) -> int:
        return process.memory_bytes()

    def stop(self) -> None:
        DBOS.destroy()


def create(directory: Path) -> Dbos:
    """The contestant with its database file in `directory`."""
    return Dbos(directory)
