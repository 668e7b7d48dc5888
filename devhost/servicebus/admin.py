"""The administration port: HTTP around the administration API, and GET /health as the official emulator answers it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web

from devhost.servicebus.access import SharedAccessPolicy
from devhost.servicebus.admin_api import AdminApi, Request
from devhost.servicebus.broker import Broker

_CONTENT_TYPE = "application/atom+xml"
_LARGEST_BODY = 1 << 20


class AdminServer:
    """Serves one broker on a socket that listens already."""

    def __init__(
        self, broker: Broker, listening: socket.socket, policy: SharedAccessPolicy, now: Callable[[], int]
    ) -> None:
        """`now` answers in ms since 1970."""
        self._broker = broker
        self._api = AdminApi(broker, policy, now)
        self._socket = listening
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_get("/health", self._health)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._socket.getsockname()[1]

    async def start(self) -> None:
        """Take connections, those that wait already first."""
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Finish what runs, and close."""
        await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "healthy", "message": "Service Bus is healthy."})

    async def _handle(self, request: web.Request) -> web.Response:
        answer = self._api.handle(
            Request(
                method=request.method,
                path=f"/{request.match_info['path']}",
                query=request.query,
                headers=request.headers,
                body=await request.read(),
                address=f"http://{request.host}",
            )
        )
        committed = asyncio.get_running_loop().create_future()
        self._broker.when_committed(lambda: committed.done() or committed.set_result(None))
        await committed
        return web.Response(status=answer.status, body=answer.body, content_type=_CONTENT_TYPE)
