"""The HTTP server: one address for the functions, the admin API, Durable's management API and the blob webhook."""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from devhost.errors import PortUnavailableError
from devhost.http import blob_webhook
from devhost.http.admin import Admin
from devhost.http.blob_webhook import BlobWebhook
from devhost.http.cors import Cors
from devhost.http.functions import MAX_BODY, HttpFunctions, given_key
from devhost.http.keys import BLOBS, Keys
from devhost.http.landing import landing_page

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from devhost.host import Host

# aiohttp logs a traceback for every request that is not HTTP; the 400 that the client gets says enough.
_PROTOCOL_LOG = logging.getLogger("devhost.http.protocol")
_PROTOCOL_LOG.setLevel(logging.CRITICAL)
_DURABLE = "/runtime/webhooks/durabletask"


def bind(address: str, port: int) -> socket.socket:
    """A socket bound to `address` and `port` (0: any free one). Raises PortUnavailableError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address, port))
        bound.listen(512)
    except (OSError, OverflowError) as error:
        bound.close()
        raise PortUnavailableError(f"Port {port} is unavailable ({address}: {error}).", _remedy(error)) from None
    return bound


def _remedy(error: OSError | OverflowError) -> str:
    if isinstance(error, OverflowError):
        return "Specify a port from 1 to 65535 using --port [-p], or 0 for any free one."
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "Specify an address of this machine using --address, such as 127.0.0.1 or 0.0.0.0."
    if isinstance(error, PermissionError):
        return "Specify a port above 1023 using --port [-p]."
    return "Close the process using that port, or specify another port using --port [-p]."


class HttpServer:
    """Serves one host. No request brings it down: what cannot be answered is a 4xx, or a 500 and host.failed."""

    def __init__(self, host: Host, listening: socket.socket, cors: Cors, keys: Keys | None) -> None:
        self._host = host
        self._socket = listening
        self._cors = cors
        self._keys = keys
        self._functions = HttpFunctions(host, keys)
        self._custom_headers = {
            str(name): str(value) for name, value in (host.json.http.get("customHeaders") or {}).items()
        }
        application = web.Application(client_max_size=MAX_BODY, middlewares=[self._guard])
        application.on_response_prepare.append(self._finish)
        router = application.router
        router.add_get("/", self._landing)
        Admin(host).add_routes(router)
        if host.durable is not None:
            host.durable.add_routes(router)
        if any(function.trigger.type == "blobTrigger" for function in host.functions.values()):
            BlobWebhook(host).add_routes(router)
        router.add_route("*", "/{path:.*}", self._functions.serve)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_PROTOCOL_LOG,
            handle_signals=False,
            auto_decompress=False,
            shutdown_timeout=0.5,
        )
        self._site: web.SockSite | None = None
        self._draining = False

    async def start(self) -> None:
        """Begin to serve."""
        await self._runner.setup()
        self._site = web.SockSite(self._runner, self._socket)
        await self._site.start()

    async def stop_accepting(self) -> None:
        """Refuse new connections, and answer 503 on those that are open."""
        self._draining = True
        if self._site is not None:
            await self._site.stop()
            self._site = None

    async def close(self) -> None:
        """Close every connection."""
        await self.stop_accepting()
        await self._runner.cleanup()
        self._socket.close()

    @property
    def outstanding(self) -> int:
        """Requests to functions that are being served."""
        return self._functions.outstanding

    async def _landing(self, request: web.Request) -> web.Response:
        return landing_page(self._host)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._draining:
            return web.Response(status=503, headers={"Connection": "close"})
        try:
            preflight = self._cors.preflight(request)
            if preflight is not None:
                return preflight
            if not self._may_enter(request):
                return web.Response(status=401)
            return await handler(request)
        except web.HTTPException as answer:
            # Their default text is aiohttp's; the real host sends no body.
            return web.Response(status=answer.status, headers=_location(answer))
        except Exception as error:
            self._host.failed(error)
            return web.Response(status=500)

    def _may_enter(self, request: web.Request) -> bool:
        """Keys for what is the host's own; functions check theirs by their auth level."""
        if self._keys is None:
            return True
        path = request.path.lower()
        if path == "/admin" or path.startswith("/admin/"):
            return self._keys.is_master(given_key(request))
        if path.startswith(_DURABLE):
            return self._keys.opens_webhook(given_key(request))
        if path.startswith(blob_webhook.PATH):
            return self._keys.opens_webhook(given_key(request), BLOBS)
        return True

    async def _finish(self, request: web.Request, response: web.StreamResponse) -> None:
        self._cors.add_headers(request, response)
        for name, value in self._custom_headers.items():
            response.headers[name] = value


def _location(answer: web.HTTPException) -> dict[str, str]:
    return {"Location": answer.headers["Location"]} if "Location" in answer.headers else {}
