"""The Durable extension of a host: the engine on its hub, the client's addresses, the durable functions."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from devhost.durable.client import DurableClient
from devhost.durable.client_binding import PUBLIC_BASE, RPC_BASE, client_binding, query_string
from devhost.durable.engine import Engine
from devhost.durable.http_api import DurableHttpApi
from devhost.durable.options import DurableOptions
from devhost.durable.rpc_server import RpcServer
from devhost.durable.sdk_replay import quicken_replay
from devhost.durable.sdk_session import close_client_session
from devhost.durable.sqlite_hub import SqliteTaskHub
from devhost.durable.sqlite_schema import HubVersionError
from devhost.durable.worker import HostWorker
from devhost.errors import DevhostError

if TYPE_CHECKING:
    from devhost.host import Host

_DEFAULT_HUB_NAME = "TestHubName"


class TaskHubError(DevhostError):
    """The task hub's file cannot be used."""


class DurableExtension:
    """Durable Functions for one host."""

    def __init__(self, host: Host, hub_path: Path | str) -> None:
        self._host = host
        self._path = Path(hub_path)
        section = host.json.extension("durableTask")
        options = DurableOptions.read(section)
        self._hub_name = str(host.settings.resolve(str(section.get("hubName") or _DEFAULT_HUB_NAME)))
        self._hub = SqliteTaskHub(self._path, host.clock)
        self._engine = Engine(self._hub, HostWorker(host), host.clock, options, host.failed)
        self._client = DurableClient(self._hub, host.clock, options)
        self._rpc: RpcServer | None = None
        self._is_open = False

    async def start(self) -> None:
        """Open the hub, serve the SDK's client, begin to work. Raises TaskHubError."""
        try:
            await self._engine.start()
        except HubVersionError as error:
            raise TaskHubError(
                f"The task hub {self._path} cannot be used: {error}.",
                "Delete the file to begin with an empty hub, or use the devhost that wrote it.",
            ) from None
        except (sqlite3.Error, OSError) as error:
            raise TaskHubError(
                f"The task hub {self._path} cannot be used: {error}.",
                "Check that it is a hub's file in a folder that can be written to, or name another one with --task-hub "
                "or DEVHOST_TASK_HUB.",
            ) from error
        quicken_replay()
        self._is_open = True
        self._rpc = RpcServer()
        await self._rpc.start(RPC_BASE, self._api(RPC_BASE, self._host_base).handle)

    async def stop(self) -> None:
        """Take no more work; return when what runs has ended and is in the hub. May be called again when cancelled."""
        try:
            if self._is_open:
                await self._engine.stop()
        finally:
            self._is_open = False
            if self._rpc is not None:
                rpc, self._rpc = self._rpc, None
                await close_client_session()
                await rpc.stop()

    async def is_idle(self) -> bool:
        """Whether no orchestration, entity or activity runs or could run now; timers of the future do not count."""
        return not self._is_open or await self._engine.is_idle()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the public HTTP API. Its keys are checked by the host."""
        handler = self._api(PUBLIC_BASE, _request_base).handle
        router.add_route("*", PUBLIC_BASE, handler)
        router.add_route("*", PUBLIC_BASE + "/{path:.*}", handler)

    def client_binding_value(self) -> str:
        """The value of a durableClient input."""
        rpc_origin = self._rpc.origin if self._rpc is not None else ""
        return client_binding(self._host.origin, rpc_origin, self._hub_name, self._key())

    def _api(self, base: str, public_base: object) -> DurableHttpApi:
        return DurableHttpApi(self._client, base, public_base, self._query, self._hub_name, lambda: self._is_open)

    def _query(self) -> str:
        return query_string(self._hub_name, self._key())

    def _key(self) -> str | None:
        """The system key; there is none while keys are not asked for."""
        keys = getattr(self._host, "keys", None)
        return keys.durable_webhook if keys is not None else None

    def _host_base(self, request: web.Request) -> str:
        return f"{self._host.origin}{PUBLIC_BASE}"


def _request_base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}{PUBLIC_BASE}"
