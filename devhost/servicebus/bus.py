"""The bus put together: store, broker, the AMQP port and the administration port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from devhost.errors import PortUnavailableError
from devhost.servicebus.access import KEY, KEY_NAME, SharedAccessPolicy
from devhost.servicebus.broker import Broker
from devhost.servicebus.config import Config
from devhost.servicebus.declaration import declare
from devhost.servicebus.server import ServiceBusServer
from devhost.servicebus.store import MemoryStore

if TYPE_CHECKING:
    from devhost.servicebus.admin import AdminServer

AMQP_PORT = 5672
ADMIN_PORT = 5300
"""The official emulator's ports."""


class ServiceBus:
    """One bus in the running event loop."""

    def __init__(
        self,
        config: Config,
        *,
        database: Path | None = None,
        address: str = "127.0.0.1",
        port: int = AMQP_PORT,
        admin_port: int = ADMIN_PORT,
        key: str = KEY,
    ) -> None:
        """`database`: the file that keeps entities and messages; None keeps them in memory. Port 0 takes a free one.

        `key`: what clients must sign with, or show.
        """
        self._config = config
        self._database = database
        self._address = address
        self._ports = (port, admin_port)
        self._key = key
        self._policy = SharedAccessPolicy(key=key)
        self._admin: AdminServer | None = None
        self._admin_start: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the ports. AMQP is served from then on; the administration port takes connections and answers soon.

        Its HTTP library takes longer to import than everything else to start. Raises DevhostError, ServiceBusError.
        """
        with contextlib.ExitStack() as undo:
            self.broker = Broker(self._open_store(), _now, asyncio.get_running_loop().call_soon)
            undo.callback(self.broker.close)
            declare(self._config, self.broker)
            self._admin_socket = self._listen(self._ports[1], "--admin-port")
            undo.callback(self._admin_socket.close)
            self._server = ServiceBusServer(self.broker, self._address, self._ports[0], self._policy)
            try:
                await self._server.start()
            except OSError as error:
                raise self._taken(self._ports[0], "--port", error) from None
            undo.pop_all()
        self._admin_start = asyncio.create_task(self._start_admin())

    async def stop(self) -> None:
        """Close the ports and the store. What was acknowledged is on disk."""
        with contextlib.suppress(asyncio.CancelledError):
            self._admin_start.cancel()
            await self._admin_start
        if self._admin is not None:
            await self._admin.stop()
        self._admin_socket.close()
        await self._server.stop()
        self.broker.close()

    @property
    def port(self) -> int:
        """The AMQP port."""
        return self._server.port

    @property
    def admin_port(self) -> int:
        """The administration port."""
        return self._admin_socket.getsockname()[1]

    @property
    def connection_string(self) -> str:
        """For ServiceBusClient, and the setting AzureWebJobsServiceBus."""
        return self._connection_string(self.port)

    @property
    def admin_connection_string(self) -> str:
        """For ServiceBusAdministrationClient."""
        return self._connection_string(self.admin_port)

    def _open_store(self) -> MemoryStore:
        if self._database is None:
            return MemoryStore()
        from devhost.servicebus.sqlite_store import SqliteStore

        return SqliteStore(self._database)

    def _listen(self, port: int, option: str) -> socket.socket:
        try:
            return socket.create_server((self._address, port), backlog=128)
        except OSError as error:
            raise self._taken(port, option, error) from None

    def _taken(self, port: int, option: str, error: OSError) -> PortUnavailableError:
        return PortUnavailableError(
            f"Port {port} on {self._address} cannot be opened ({error.strerror}). "
            "Another bus, or Microsoft's emulator, may be running.",
            f"Stop it, or choose another port with {option}.",
        )

    async def _start_admin(self) -> None:
        module = await asyncio.to_thread(__import__, "devhost.servicebus.admin", fromlist=["AdminServer"])
        self._admin = module.AdminServer(self.broker, self._admin_socket, self._policy, _now)
        await self._admin.start()

    def _connection_string(self, port: int) -> str:
        return (
            f"Endpoint=sb://{self._address}:{port};SharedAccessKeyName={KEY_NAME};"
            f"SharedAccessKey={self._key};UseDevelopmentEmulator=true;"
        )


def _now() -> int:
    return time.time_ns() // 1_000_000
