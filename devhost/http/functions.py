"""The HTTP trigger: finds the function for a request, hands it over as the host does, answers with its result."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from azure.functions.meta import Datum

from devhost.datum import json_properties
from devhost.functions import Function
from devhost.http.responses import to_response
from devhost.http.routes import Route, decode_path
from devhost.invocation import FunctionInvocationError, TriggerData

if TYPE_CHECKING:
    from devhost.host import Host
    from devhost.http.keys import Keys

MAX_BODY = 104_857_600
REASON = "This function was programmatically called via the host APIs."
_log = logging.getLogger("devhost.http")


@dataclass(frozen=True, slots=True)
class _Endpoint:
    function: Function
    route: Route
    methods: frozenset[str]
    """Empty: all of them."""
    auth_level: str
    binds_more: bool
    """Other bindings may use the request's data in their {expressions}."""


class HttpFunctions:
    """All HTTP-triggered functions of a host, in the order in which their routes are tried."""

    def __init__(self, host: Host, keys: Keys | None) -> None:
        self._host = host
        self._keys = keys
        self._endpoints = [
            _endpoint(function, host.json.route_prefix)
            for function in host.functions.values()
            if function.trigger.type == "httpTrigger"
        ]
        limits = host.json.http
        self._most_outstanding = _limit(limits.get("maxOutstandingRequests"))
        concurrent = _limit(limits.get("maxConcurrentRequests"))
        self._slots = asyncio.Semaphore(concurrent) if concurrent else None
        self.outstanding = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The answer to any request that is not the host's own business."""
        path = decode_path(_raw_path(request))
        if path is None:
            return web.Response(status=400)
        endpoint, parameters = self._find(request.method, path)
        if endpoint is None:
            return web.Response(status=404)
        if (refusal := self._refusal(endpoint, given_key(request))) is not None:
            return web.Response(status=refusal)
        if self._most_outstanding and self.outstanding >= self._most_outstanding:
            return web.Response(status=429)
        self.outstanding += 1
        try:
            body = await read_body(request)
            if self._slots is None:
                return await self._invoke(endpoint, request, parameters, body)
            async with self._slots:
                return await self._invoke(endpoint, request, parameters, body)
        finally:
            self.outstanding -= 1

    def _refusal(self, endpoint: _Endpoint, key: str | None) -> int | None:
        """The status for a caller who may not call; without --enable-auth every caller is the administrator."""
        if self._keys is None:
            return None
        if endpoint.function.disabled and not self._keys.is_master(key):
            return 404
        return None if self._keys.admits(endpoint.auth_level, endpoint.function.name, key) else 401

    def _find(self, method: str, path: str) -> tuple[_Endpoint | None, dict[str, str]]:
        for endpoint in self._endpoints:
            if endpoint.methods and method not in endpoint.methods:
                continue
            parameters = endpoint.route.match(path)
            if parameters is not None:
                return endpoint, parameters
        return None, {}

    async def _invoke(
        self, endpoint: _Endpoint, request: web.Request, parameters: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        query = _query(request)
        headers = _headers(request)
        trigger = TriggerData(
            value=_datum(request.method, _url(request), headers, query, parameters, body),
            reason=REASON,
            binding_data=_binding_data(headers, query, parameters, body) if endpoint.binds_more else {},
        )
        try:
            return to_response(await self._host.invoke(endpoint.function, trigger))
        except FunctionInvocationError:
            return web.Response(status=500)
        except ValueError as error:
            _log.error("The function '%s' gave a response that cannot be sent: %s", endpoint.function.name, error)
            return web.Response(status=500)


def manual_request(function: Function, url: str, text: str) -> TriggerData:
    """The request that the admin API makes for an HTTP function: a POST with `text` as its body."""
    body = text.encode("utf-8", "replace")
    return TriggerData(
        value=_datum("POST", url, {}, {}, {}, body), reason=REASON, binding_data=_binding_data({}, {}, {}, body)
    )


async def read_body(request: web.Request) -> bytes:
    """The request's body. Chunked bodies are read too: locally the real host passes none, in Azure its front end does.

    Raises web.HTTPRequestEntityTooLarge (413) and web.HTTPBadRequest (400).
    """
    if (request.content_length or 0) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length)
    if not request.can_read_body:
        return b""
    try:
        return await request.read()
    except web.HTTPException:
        raise
    except Exception as error:  # aiohttp has several for a body that is not what its headers promise
        raise web.HTTPBadRequest() from error


def given_key(request: web.Request) -> str | None:
    """The access key that comes with a request: the header stands before `?code=`."""
    return request.headers.get("x-functions-key") or request.query.get("code")


def _endpoint(function: Function, prefix: str) -> _Endpoint:
    properties = function.trigger.properties
    others = [b for b in function.bindings if b.type not in ("httpTrigger", "http", "durableClient")]
    return _Endpoint(
        function=function,
        route=Route(f"{prefix}/{properties.get('route') or function.name}"),
        methods=frozenset(str(method).upper() for method in properties.get("methods") or ()),
        auth_level=str(properties.get("authLevel", "function")).lower(),
        binds_more=bool(others),
    )


def _limit(value: Any) -> int:
    """A limit of host.json: 0 (none) unless it is a positive number."""
    return max(int(value), 0) if isinstance(value, int | float) else 0


def _raw_path(request: web.Request) -> str:
    """The path as it was sent, still encoded; proxies may send a whole URL in its place."""
    path = request.raw_path.partition("?")[0].partition("#")[0]
    return path if path.startswith("/") else request.rel_url.raw_path


def _url(request: web.Request) -> str:
    target = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
    return _clean(f"{request.scheme}://{request.host}{target}")


def _query(request: web.Request) -> dict[str, str]:
    """Repeated names are joined by commas, names without a value are dropped."""
    query = request.rel_url.query
    joined = {name: ",".join(query.getall(name)) for name in dict.fromkeys(query)}
    return {name: value for name, value in joined.items() if value}


def _headers(request: web.Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        name = name.lower()
        headers[name] = _clean(f"{headers[name]},{value}" if name in headers else value)
    return headers


def _clean(text: str) -> str:
    """Bytes that are not UTF-8 reach us as surrogates, which no encoder would take; they become U+FFFD."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _datum(
    method: str,
    url: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    parameters: Mapping[str, str],
    body: bytes,
) -> Datum:
    value = {
        "method": Datum(method, "string"),
        "url": Datum(url, "string"),
        "headers": _texts(headers),
        "query": _texts(query),
        "params": _texts(parameters),
        "body": Datum(body, "bytes"),
    }
    return Datum(value, "http")


def _texts(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _binding_data(
    headers: Mapping[str, str], query: Mapping[str, str], parameters: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """The body's properties, under the query's, under the route's; and the whole of query and headers."""
    named = {name: value for name, value in query.items() if name.lower() != "code"}
    return {
        **json_properties(body.decode("utf-8", "replace")),
        **named,
        **parameters,
        "Query": dict(query),
        "Headers": dict(headers),
    }
