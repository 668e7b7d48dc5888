"""The host's admin API under /admin (functions-host.md §3), open locally, behind the master key with --enable-auth."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import platform
from typing import TYPE_CHECKING, Any

from aiohttp import web

from devhost import __version__
from devhost.errors import DevhostError
from devhost.functions import Function
from devhost.http.functions import read_body
from devhost.invocation import FunctionInvocationError, TriggerData
from devhost.manual import manual_trigger

if TYPE_CHECKING:
    from devhost.host import Host

_log = logging.getLogger("devhost.admin")


class Admin:
    """The handlers of the admin API."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._background: set[asyncio.Task[None]] = set()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Register every admin address; the rest of /admin is not found."""
        router.add_get("/admin/host/status", self._status)
        router.add_get("/admin/host/ping", self._ping)
        router.add_post("/admin/host/ping", self._ping)
        router.add_post("/admin/host/drain", self._drain)
        router.add_get("/admin/host/drain/status", self._drain_status)
        router.add_post("/admin/host/resume", self._resume)
        router.add_get("/admin/functions", self._list)
        router.add_get("/admin/functions/{name}", self._describe)
        router.add_get("/admin/functions/{name}/status", self._function_status)
        router.add_post("/admin/functions/{name}", self._invoke)
        router.add_route("*", "/admin/{rest:.*}", self._not_found)

    async def _status(self, request: web.Request) -> web.Response:
        host = self._host
        status: dict[str, Any] = {
            "id": host.id,
            "state": host.state,
            "version": f"devhost {__version__}",
            "versionDetails": __version__,
            "platformVersion": platform.python_version(),
            "instanceId": host.instance_id,
            "computerName": platform.node(),
            "processUptime": int(host.uptime * 1000),
            "functionAppContentEditingState": "Unknown",
            "processId": os.getpid(),
        }
        if host.errors:
            status["errors"] = [str(error) for error in host.errors]
        if host.json.has_extension_bundle:
            status["extensionBundle"] = host.json.document["extensionBundle"]
        return web.json_response(status)

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _drain(self, request: web.Request) -> web.Response:
        self._spawn(self._host.pause())
        return web.Response(status=202)

    async def _drain_status(self, request: web.Request) -> web.Response:
        host = self._host
        outstanding = host.outstanding
        state = "Disabled" if not host.paused else "InProgress" if outstanding else "Completed"
        return web.json_response(
            {"state": state, "outstandingInvocations": outstanding, "outstandingRetries": host.outstanding_retries}
        )

    async def _resume(self, request: web.Request) -> web.Response:
        await self._host.resume()
        return web.json_response({"state": self._host.state})

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([self._metadata(function) for function in self._host.functions.values()])

    async def _describe(self, request: web.Request) -> web.Response:
        function = self._function(request)
        return web.json_response(self._metadata(function)) if function else self._missing(request)

    async def _function_status(self, request: web.Request) -> web.Response:
        failed = [e for e in self._host.errors if e.function_name.lower() == request.match_info["name"].lower()]
        if self._function(request) is None and not failed:
            return self._missing(request)
        return web.json_response({"errors": [str(error) for error in failed]} if failed else {})

    async def _invoke(self, request: web.Request) -> web.Response:
        function = self._function(request)
        if function is None:
            return self._missing(request)
        if request.content_type != "application/json":
            return _problem(415, "The body must be JSON.", 'Send {"input": "..."} with Content-Type: application/json.')
        try:
            document = json.loads(await read_body(request))
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            return _problem(400, "The body is not a JSON object.", 'Send {"input": "..."}.')
        given = document.get("input")
        text = "" if given is None else given if isinstance(given, str) else json.dumps(given)
        if any("\ud800" <= character <= "\udfff" for character in text):
            return _problem(400, "The input holds half a character.", "Write it as UTF-8, or whole: \\ud83d\\ude00.")
        try:
            trigger = await manual_trigger(self._host, function, text)
        except DevhostError as error:
            return _problem(400, error.message, error.remedy)
        if "wait" in request.headers.get("Prefer", ""):
            return await self._outcome(function, trigger)
        self._spawn(self._run(function, trigger))
        return web.Response(status=202)

    async def _outcome(self, function: Function, trigger: TriggerData) -> web.Response:
        """How the function ended: `devhost tick` waits for that, for which the real host has nothing."""
        error = None
        try:
            await self._host.invoke(function, trigger)
        except FunctionInvocationError as failure:
            error = failure.message
        document = {"outcome": "Failed", "error": error} if error is not None else {"outcome": "Succeeded"}
        return web.json_response(document, headers={"Preference-Applied": "wait"})

    async def _run(self, function: Function, trigger: TriggerData) -> None:
        with contextlib.suppress(FunctionInvocationError):  # it is in the log; nobody waits for it
            await self._host.invoke(function, trigger)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._host.failed(error)

    async def _not_found(self, request: web.Request) -> web.Response:
        return web.Response(status=404)

    def _function(self, request: web.Request) -> Function | None:
        name = request.match_info["name"].lower()
        return next((f for known, f in self._host.functions.items() if known.lower() == name), None)

    def _missing(self, request: web.Request) -> web.Response:
        return _problem(404, f"There is no function '{request.match_info['name']}'.", "GET /admin/functions lists all.")

    def _metadata(self, function: Function) -> dict[str, Any]:
        host = self._host
        return {
            "name": function.name,
            "href": f"{host.origin}/admin/functions/{function.name}",
            "invoke_url_template": host.url_of(function),
            "language": "python",
            "config": {
                "name": function.name,
                "functionDirectory": function.directory,
                "bindings": [dict(binding.properties) for binding in function.bindings],
            },
            "isDisabled": function.disabled,
            "isDirect": function.trigger.type == "httpTrigger",
        }


def _problem(status: int, message: str, remedy: str) -> web.Response:
    document = {"status": status, "title": message, "detail": remedy}
    return web.json_response(document, status=status, content_type="application/problem+json")
