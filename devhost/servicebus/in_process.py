"""The bus inside a test's own process, on a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

from devhost.servicebus.broker import Broker
from devhost.servicebus.bus import ServiceBus
from devhost.servicebus.config import Config, load_config

Value = TypeVar("Value")


class InProcessServiceBus:
    """`with InProcessServiceBus(path) as bus:` serves on free ports, in memory, and ends with the block."""

    def __init__(self, config: Path | Mapping[str, Any] | None = None) -> None:
        """`config`: a file or such a document; None: no entities yet. Raises ConfigError."""
        self._config = Config() if config is None else load_config(config)
        self._started: Future[None] = Future()

    def __enter__(self) -> InProcessServiceBus:
        self._thread = Thread(target=lambda: asyncio.run(self._run()), name="servicebus", daemon=True)
        self._thread.start()
        self._started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    @property
    def port(self) -> int:
        """The AMQP port."""
        return self._bus.port

    @property
    def connection_string(self) -> str:
        """For ServiceBusClient, and the setting AzureWebJobsServiceBus."""
        return self._bus.connection_string

    @property
    def admin_url(self) -> str:
        """`http://127.0.0.1:PORT` of the administration API."""
        return f"http://127.0.0.1:{self._bus.admin_port}"

    @property
    def admin_connection_string(self) -> str:
        """For ServiceBusAdministrationClient, with a transport out of devhost.servicebus.plain_http."""
        return self._bus.admin_connection_string

    def clear(self) -> None:
        """Drop all messages, session states and seen message ids; the entities stay."""
        self.call(Broker.clear)

    def call(self, act: Callable[[Broker], Value]) -> Value:
        """What `act` makes of the broker, on the bus's own loop."""

        async def run() -> Value:
            return act(self._bus.broker)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._bus = ServiceBus(self._config, port=0, admin_port=0)
        try:
            await self._bus.start()
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stopping.wait()
        await self._bus.stop()
