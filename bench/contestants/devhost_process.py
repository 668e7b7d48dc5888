"""devhost as a developer runs it: a `python -m devhost start` process, driven over the public Durable HTTP API.

Timed, besides the work itself: an HTTP request for each start, and this client's polling until it knows of the end.
The host prints its log lines as in use, to a file; its task hub is a new file with the default settings.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from bench import process

BENCH = Path(__file__).parents[1]
CONNECTIONS = 16
READY_SECONDS = 60
POLL_SECONDS = 0.001
# The pause between two polls grows with the wait, so that a poll costs at most about a twentieth of what is measured
# and the end is known at most a twentieth late.
POLL_SHARE = 0.05


class HostFailedError(Exception):
    """devhost did not start, ended, or answered something unexpected; the text holds the end of its log."""


class Devhost:
    """A devhost process on the benchmark's app and an HTTP client for it."""

    name = "devhost"

    def __init__(self, directory: Path) -> None:
        self._app = directory / "app"
        shutil.copytree(BENCH / "apps" / "hello", self._app, ignore=shutil.ignore_patterns("__pycache__", ".devhost"))
        self._log = directory / "devhost.log"
        self._loop = asyncio.new_event_loop()
        self._origin = ""

    def start(self) -> float:
        port = process.free_port()
        self._origin = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "devhost", "start", "--port", str(port), "--script-root", str(self._app)]
        environment = {**os.environ, "FUNCTIONS_WORKER_RUNTIME": "python", "PYTHONPATH": str(BENCH.parent)}
        started_at = time.time()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        self._loop.run_until_complete(self._open())
        return started_at

    def run(self, orchestration: str, inputs: Sequence[int | None]) -> Sequence[str]:
        return self._loop.run_until_complete(self._run(orchestration, inputs))

    def result(self, handle: str) -> Any:
        status = self._loop.run_until_complete(self._get(handle))
        if status["runtimeStatus"] != "Completed":
            raise self._failure(f"an instance ended as {status['runtimeStatus']}: {status['output']}")
        return status["output"]

    def memory_bytes(self) -> int:
        return process.memory_bytes(self._process.pid)

    def stop(self) -> None:
        self._loop.run_until_complete(self._session.close())
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise self._failure("it did not end within 30 s of SIGTERM") from None

    async def _open(self) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS))
        deadline = time.monotonic() + READY_SECONDS
        while not await self._answers():
            if self._process.poll() is not None:
                raise self._failure(f"it ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"no answer within {READY_SECONDS} s")
            await asyncio.sleep(0.005)

    async def _answers(self) -> bool:
        try:
            async with self._session.get(f"{self._origin}/admin/host/status") as response:
                return response.status == 200 and (await response.json())["state"] == "Running"
        except aiohttp.ClientConnectionError:
            return False

    async def _run(self, orchestration: str, inputs: Sequence[int | None]) -> Sequence[str]:
        starts = await asyncio.gather(*(self._start_instance(orchestration, width) for width in inputs))
        if len(starts) == 1:
            await _poll(lambda: self._has_ended(starts[0]["statusQueryGetUri"]))
        else:
            await _poll(self._all_have_ended)
        return [start["statusQueryGetUri"] for start in starts]

    async def _start_instance(self, orchestration: str, width: int | None) -> dict[str, Any]:
        url = f"{self._origin}/runtime/webhooks/durabletask/orchestrators/{orchestration}"
        async with self._session.post(url, json=None if width is None else {"width": width}) as response:
            if response.status != 202:
                raise self._failure(f"a start was answered {response.status}: {await response.text()}")
            return await response.json()

    async def _has_ended(self, url: str) -> bool:
        async with self._session.get(url, params={"showInput": "false"}) as response:
            await response.read()
            return response.status != 202

    async def _all_have_ended(self) -> bool:
        url = f"{self._origin}/runtime/webhooks/durabletask/instances"
        async with self._session.get(url, params={"runtimeStatus": "Pending,Running", "top": "1"}) as response:
            return await response.json() == []

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._session.get(url) as response:
            return await response.json()

    def _failure(self, what: str) -> HostFailedError:
        tail = self._log.read_text(errors="replace")[-2000:]
        return HostFailedError(f"devhost: {what}\nthe end of its log:\n{tail}")


def create(directory: Path) -> Devhost:
    """The contestant with its copy of the app, its task hub and its log in `directory`."""
    return Devhost(directory)


async def _poll(is_over: Callable[[], Awaitable[bool]]) -> None:
    begin = time.perf_counter()
    while not await is_over():
        await asyncio.sleep(max(POLL_SECONDS, (time.perf_counter() - begin) * POLL_SHARE))
