"""The Durable HTTP API: one handler behind the public address and behind the SDK's local one (durable.md §5)."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from devhost.durable.client import (
    DurableClient,
    InstanceFinishedError,
    InstanceNotFoundError,
    InvalidRequestError,
    WrongStateError,
)
from devhost.durable.client_binding import management_urls
from devhost.durable.entities import entity_id, entity_state
from devhost.durable.http_requests import Query, decode_token, encode_token, entity_input, json_body, segments
from devhost.durable.hub import InstanceExistsError, InstanceQuery, InstanceView, RuntimeStatus
from devhost.durable.views import entity_view, history_view, status_text

DEFAULT_TOP = 100
_START_RETRY_AFTER = "10"
_STATUS_RETRY_AFTER = "5"
_WAIT_LOOK_SECONDS = 0.02
_CONTINUATION = "x-ms-continuation-token"
_KEYS_OF_A_START = (
    "id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "purgeHistoryDeleteUri", "restartPostUri",
    "suspendPostUri", "resumePostUri",
)  # fmt: skip
_log = logging.getLogger("devhost.durable")


class DurableHttpApi:
    """Answers requests below one base path."""

    def __init__(
        self,
        client: DurableClient,
        base: str,
        public_base: Callable[[web.Request], str],
        query: Callable[[], str],
        hub_name: str,
        is_open: Callable[[], bool],
    ) -> None:
        """`public_base(request)` and `query()` are what management URLs are made of; `is_open`: the hub is in use."""
        self._client = client
        self._base = base
        self._public_base = public_base
        self._query = query
        self._hub_name = hub_name
        self._is_open = is_open

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        if not self._is_open():
            return web.Response(status=503, headers={"Retry-After": "1"})
        try:
            query = Query(request)
            if query.get("taskHub", self._hub_name).lower() != self._hub_name.lower():
                raise InvalidRequestError(f"This host serves the task hub '{self._hub_name}' only.")
            return await self._dispatch(request, segments(request, self._base), query)
        except InstanceNotFoundError:
            return web.Response(status=404)
        except InstanceFinishedError:
            return web.Response(status=410)
        except InstanceExistsError as error:
            return web.json_response({"Message": str(error)}, status=409)
        except InvalidRequestError as error:
            return _error(400, "One or more of the arguments submitted is incorrect", error)
        except WrongStateError as error:
            _log.error("%s", error)
            return _error(500, "Something went wrong while processing your request", error)

    async def _dispatch(self, request: web.Request, path: list[str], query: Query) -> web.Response:
        method, first, rest = request.method, path[0].lower(), path[1:]
        if rest and rest[-1] == "":
            rest = rest[:-1]
        if first == "makeprimary" and not rest:
            return web.Response(status=200)
        if first == "orchestrators" and method == "POST" and len(rest) in (1, 2):
            return await self._start(request, rest, query)
        if first == "instances":
            return await self._instances(request, rest, query)
        if first == "entities":
            return await self._entities(request, rest, query)
        return web.Response(status=404)

    # --- instances --------------------------------------------------------------------------------------------------

    async def _start(self, request: web.Request, rest: list[str], query: Query) -> web.Response:
        timeout = query.number("timeout")
        name, instance_id = rest[0], rest[1] if len(rest) == 2 else None
        instance_id = await self._client.start(name, instance_id, await json_body(request), query.get("version"))
        if timeout is not None and (view := await self._wait(instance_id, timeout)) is not None:
            if view.instance.status == RuntimeStatus.COMPLETED:
                return _json(200, view.output or "null")
            return await self._status_answer(request, view, query)
        return self._started(request, instance_id)

    async def _wait(self, instance_id: str, seconds: float) -> InstanceView | None:
        """The instance once it has ended, None when it has not within so many seconds (real time)."""
        deadline = time.monotonic() + seconds
        while True:
            view = await self._client.get(instance_id)
            if view is None or view.instance.status.is_final:
                return view
            if time.monotonic() >= deadline:
                return None
            await asyncio.sleep(_WAIT_LOOK_SECONDS)

    def _started(self, request: web.Request, instance_id: str) -> web.Response:
        urls = management_urls(self._public_base(request), self._query(), instance_id)
        headers = {"Location": urls["statusQueryGetUri"], "Retry-After": _START_RETRY_AFTER}
        return _json(202, json.dumps({key: urls[key] for key in _KEYS_OF_A_START}), headers)

    async def _instances(self, request: web.Request, rest: list[str], query: Query) -> web.Response:
        method = request.method
        if not rest:
            if method == "GET":
                return await self._list(request, query)
            return await self._purge_many(query) if method == "DELETE" else web.Response(status=404)
        instance_id = rest[0]
        if len(rest) == 1 and method == "GET":
            view = await self._client.get(instance_id)
            if view is None:
                raise InstanceNotFoundError(instance_id)
            return await self._status_answer(request, view, query)
        if len(rest) == 1 and method == "DELETE":
            return await self._purge(instance_id)
        if method != "POST" or len(rest) == 1:
            return web.Response(status=404)
        operation = rest[1].lower()
        if operation == "raiseevent" and len(rest) == 3 and rest[2]:
            return await self._raise_event(request, instance_id, rest[2])
        operations: dict[str, Callable[[str, str], Awaitable[None]]] = {
            "terminate": self._client.terminate,
            "suspend": self._client.suspend,
            "resume": self._client.resume,
        }
        if len(rest) == 2 and operation in operations:
            await operations[operation](instance_id, query.get("reason", ""))
            return web.Response(status=202)
        if len(rest) == 2 and operation == "rewind":
            return await self._rewind(instance_id, query.get("reason", ""))
        if len(rest) == 2 and operation == "restart":
            new_id = await self._client.restart(instance_id, new_id=query.flag("restartWithNewInstanceId", True))
            return self._started(request, new_id)
        return web.Response(status=404)

    async def _status_answer(self, request: web.Request, view: InstanceView, query: Query) -> web.Response:
        show_input = query.flag("showInput", True)
        history = None
        if query.flag("showHistory", False):
            events = await self._client.history(view.instance.id)
            history = history_view(events, show_input=show_input, show_output=query.flag("showHistoryOutput", False))
        text, status = status_text(view, show_input=show_input, history=history), view.instance.status
        if not status.is_final:
            location = f"{self._public_base(request)}/instances/{view.instance.id}?{self._query()}"
            return _json(202, text, {"Location": location, "Retry-After": _STATUS_RETRY_AFTER})
        wants_500 = query.flag("returnInternalServerErrorOnFailure", False)
        return _json(500 if wants_500 and status == RuntimeStatus.FAILED else 200, text)

    async def _list(self, request: web.Request, query: Query) -> web.Response:
        show_input = query.flag("showInput", True)
        top = int(query.number("top") or DEFAULT_TOP)
        views = await self._client.query(
            InstanceQuery(
                created_from=query.moment("createdTimeFrom"),
                created_to=query.moment("createdTimeTo"),
                statuses=query.statuses(),
                id_prefix=query.get("instanceIdPrefix"),
                top=top + 1,
                after_id=decode_token(request.headers.get(_CONTINUATION)),
                with_input=show_input,
            )
        )
        headers = {_CONTINUATION: encode_token(views[top - 1].instance.id)} if len(views) > top else {}
        texts = [status_text(view, show_input=show_input) for view in views[:top]]
        return _json(200, f"[{','.join(texts)}]", headers)

    async def _raise_event(self, request: web.Request, instance_id: str, name: str) -> web.Response:
        if request.content_type != "application/json":
            raise InvalidRequestError("Only application/json request content is supported")
        body = await json_body(request)
        if body is None:
            raise InvalidRequestError("The body is empty: send the event's data as JSON, null if there is none.")
        await self._client.raise_event(instance_id, name, body)
        return web.Response(status=202)

    async def _rewind(self, instance_id: str, reason: str) -> web.Response:
        try:
            await self._client.rewind(instance_id, reason)
        except WrongStateError as error:
            return _json(412, json.dumps(str(error)))
        return web.Response(status=202)

    async def _purge(self, instance_id: str) -> web.Response:
        try:
            await self._client.purge(instance_id)
        except WrongStateError as error:
            return _json(412, json.dumps(str(error)))
        return _json(200, '{"instancesDeleted":1}')

    async def _purge_many(self, query: Query) -> web.Response:
        created_from = query.moment("createdTimeFrom")
        if created_from is None:
            raise InvalidRequestError("Please provide value for 'createdTimeFrom' parameter.")
        count = await self._client.purge_many(created_from, query.moment("createdTimeTo"), query.statuses())
        return _json(200, f'{{"instancesDeleted":{count}}}') if count else web.Response(status=404)

    # --- entities ---------------------------------------------------------------------------------------------------

    async def _entities(self, request: web.Request, rest: list[str], query: Query) -> web.Response:
        method = request.method
        if method == "GET" and len(rest) < 2:
            return await self._list_entities(request, rest[0] if rest else None, query)
        if len(rest) != 2 or not rest[0]:
            return web.Response(status=404)
        name, key = rest[0], "" if rest[1] == "$" else rest[1]
        if method == "GET":
            view = await self._client.get(entity_id(name, key))
            state = entity_state(view.input) if view is not None else None
            return web.Response(status=404) if state is None else _json(200, state)
        if method == "POST":
            await self._client.signal(name, key, query.get("op", ""), await entity_input(request))
            return web.Response(status=202)
        if method == "DELETE":
            await self._client.signal(name, key, "delete", None)
            return web.Response(status=202)
        return web.Response(status=404)

    async def _list_entities(self, request: web.Request, name: str | None, query: Query) -> web.Response:
        top = int(query.number("top") or DEFAULT_TOP)
        views = await self._client.query(
            InstanceQuery(
                updated_from=query.moment("lastOperationTimeFrom"),
                updated_to=query.moment("lastOperationTimeTo"),
                id_prefix=entity_id(name, "") if name else None,
                top=top + 1,
                after_id=decode_token(request.headers.get(_CONTINUATION)),
                entities=True,
            )
        )
        headers = {_CONTINUATION: encode_token(views[top - 1].instance.id)} if len(views) > top else {}
        with_state = query.flag("fetchState", False)
        shown = [entity_view(view, with_state=with_state) for view in views[:top]]
        return _json(200, json.dumps([entity for entity in shown if entity is not None]), headers)


def _json(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)


def _error(status: int, message: str, error: Exception) -> web.Response:
    """An error as the SDK reads it: it takes ExceptionMessage from a 400."""
    body = {
        "Message": message,
        "ExceptionMessage": str(error),
        "ExceptionType": f"devhost.durable.{type(error).__name__}",
        "StackTrace": "",
    }
    return web.json_response(body, status=status)
