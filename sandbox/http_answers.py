"""How the sandbox's HTTP doors read bodies, and answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import ValidationError

from sandbox.idempotency import RefusedError
from sandbox.models import Body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AnyBody = TypeVar("AnyBody", bound=Body)


def body(model: type[AnyBody]) -> Callable[[web.Request, bytes], AnyBody]:
    """What reads a body of that model. It raises RefusedError (400)."""

    def parse(_request: web.Request, content: bytes) -> AnyBody:
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            # Without the input: a card number must not come back in an error.
            wrong = error.errors(include_input=False)
            message = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in wrong)
            raise RefusedError(400, "invalid_request", message) from error

    return parse


def read(answer: Callable[[Any], dict[str, Any]]) -> Handler:
    """A door that shows something. `answer` is given the query."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response(answer(request.query))

    return handle


def change(act: Callable[[], None]) -> Handler:
    """A door at which something is done that needs no body."""

    async def handle(_request: web.Request) -> web.Response:
        act()
        return web.Response(status=204)

    return handle


def order(model: type[AnyBody], act: Callable[[AnyBody], dict[str, Any] | None]) -> Handler:
    """A door at which a test or a demo orders something: 201 with what `act` returns, 204 for nothing."""
    parse = body(model)

    async def handle(request: web.Request) -> web.Response:
        made = act(parse(request, await request.read()))
        return web.Response(status=204) if made is None else web.json_response(made, status=201)

    return handle


def problem(status: int, code: str, message: str) -> web.Response:
    """An error, for programs and people."""
    return web.json_response({"code": code, "message": message}, status=status)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a door raises is answered as a problem."""
    try:
        return await handler(request)
    except RefusedError as error:
        return problem(error.status, error.code, str(error))
    except web.HTTPException as error:
        return problem(error.status, "http_error", f"{request.method} {request.path}: {error.reason}")
