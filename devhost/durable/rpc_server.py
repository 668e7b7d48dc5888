"""The local address that the SDK's client talks to: the HTTP API without keys, on the loopback interface only."""

from __future__ import annotations

import socket

from aiohttp import web
from aiohttp.typedefs import Handler

ADDRESS = "127.0.0.1"
PREFERRED_PORT = 17071
_MAX_BODY = 1 << 30


class RpcServer:
    """Serves one handler. The port is known from the start, before anything is served."""

    def __init__(self) -> None:
        self._socket = _bind(PREFERRED_PORT) or _bind(0)
        self._runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        """http://127.0.0.1:PORT."""
        return f"http://{ADDRESS}:{self._socket.getsockname()[1]}"

    async def start(self, base: str, handler: Handler) -> None:
        """Serve `handler` below `base`."""
        application = web.Application(client_max_size=_MAX_BODY)
        application.router.add_route("*", base + "/{path:.*}", handler)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Serve no more."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()


def _bind(port: int) -> socket.socket | None:
    """A listening socket; None when the port is taken."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((ADDRESS, port))
        bound.listen(256)
    except OSError:
        bound.close()
        if port == 0:
            raise
        return None
    return bound
