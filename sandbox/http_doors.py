"""The HTTP doors of the sandbox: the payment gateway's API, and the API that orders faults and reads what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, get_args

from aiohttp import web
from pydantic import ValidationError

from sandbox.models import Authorization, Body, Charge, FaultKind, FaultOrder, Operation, Refund, Void
from sandbox.payments import Answer, PaymentGateway, PaymentRefusedError
from sandbox.world import RequestRecord, World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AnyBody = TypeVar("AnyBody", bound=Body)


def create_app(world: World) -> web.Application:
    """The whole HTTP surface over one world."""
    app = web.Application(middlewares=[_errors_as_json])
    app.add_routes(
        [
            web.post("/payments/authorizations", _payment(world, "authorize", _body(Authorization))),
            web.post("/payments/authorizations/{id}/void", _payment(world, "void", _void)),
            web.post("/payments/charges", _payment(world, "charge", _body(Charge))),
            web.post("/payments/refunds", _payment(world, "refund", _body(Refund))),
            web.get("/payments/ledger", _read(lambda query: world.payments.ledger(query.get("reference")))),
            web.get("/payments/requests", _read(lambda query: world.requests_json(query.get("reference")))),
            web.get("/mailbox", _read(lambda query: world.mailbox.as_json(query.get("to")))),
            web.delete("/mailbox", _change(world.clear_mailbox)),
            web.post("/faults", _order_fault(world)),
            web.get("/faults", _read(lambda _query: world.faults.as_json())),
            web.delete("/faults", _change(world.clear_faults)),
            web.delete("/state", _change(world.clear)),
            web.get("/health", _read(lambda _query: {"status": "ok"})),
        ]
    )
    return app


def _payment(world: World, operation: Operation, parse: Callable[[web.Request, bytes], Body]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        content = await request.read()
        # From here to the booking nothing waits: two requests with one key cannot overlap.
        record = RequestRecord(
            request.method,
            request.path,
            operation,
            key=request.headers.get("Idempotency-Key"),
            correlation_id=request.headers.get("x-correlation-id"),
        )
        world.requests.append(record)
        fault: FaultOrder | None = None
        try:
            body = parse(request, content)
            subject = world.payments.subject(body)
            record.reference = subject.get("reference")
            fault = _fault_in_header(request) or world.faults.take(operation=operation, **subject)
            record.fault = fault.fault if fault else None
            if record.fault == "drop_before":
                return _dropped(request)
            response = _refusal_by_fault(fault) or _booked(world.payments, operation, record.key, body)
        except PaymentRefusedError as error:
            response = _problem(error.status, error.code, str(error))
        if record.fault == "drop_after":
            return _dropped(request)
        if fault and record.fault == "slow":
            await asyncio.sleep(fault.delay)
        record.status = response.status
        return response

    return handle


def _booked(payments: PaymentGateway, operation: Operation, key: str | None, body: Body) -> web.Response:
    if not key:
        raise PaymentRefusedError(400, "key_missing", "send an Idempotency-Key header, the same one on every retry")
    book: Callable[[str, Any], Answer] = getattr(payments, operation)
    answer = book(key, body)
    return web.json_response(answer.body, status=answer.status)


def _dropped(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    # aiohttp wants an answer, which now has nowhere to go.
    return web.Response()


def _refusal_by_fault(fault: FaultOrder | None) -> web.Response | None:
    match fault:
        case FaultOrder(fault="decline"):
            return _problem(402, "card_declined", "The card was declined.")
        case FaultOrder(fault="throttle"):
            response = _problem(429, "too_many_requests", f"Too many requests; try again in {fault.retry_after} s.")
            response.headers["Retry-After"] = str(fault.retry_after)
            return response
        case FaultOrder(fault="error"):
            return _problem(500, "internal_error", "The payment gateway failed; nothing was booked.")
    return None


def _fault_in_header(request: web.Request) -> FaultOrder | None:
    kind = request.headers.get("X-Sandbox-Fault")
    if kind is None:
        return None
    if kind not in get_args(FaultKind):
        known = ", ".join(get_args(FaultKind))
        raise PaymentRefusedError(400, "unknown_fault", f"X-Sandbox-Fault knows {known}, not {kind!r}")
    return FaultOrder(fault=kind)


def _body(model: type[AnyBody]) -> Callable[[web.Request, bytes], AnyBody]:
    def parse(_request: web.Request, content: bytes) -> AnyBody:
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            # Without the input: a card number must not come back in an error.
            wrong = error.errors(include_input=False)
            message = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in wrong)
            raise PaymentRefusedError(400, "invalid_request", message) from error

    return parse


def _void(request: web.Request, _content: bytes) -> Void:
    return Void(authorization=request.match_info["id"][:200])


def _order_fault(world: World) -> Handler:
    parse = _body(FaultOrder)

    async def handle(request: web.Request) -> web.Response:
        try:
            order = parse(request, await request.read())
        except PaymentRefusedError as error:
            return _problem(error.status, error.code, str(error))
        return web.json_response({"id": world.faults.add(order)}, status=201)

    return handle


def _read(answer: Callable[[Any], dict[str, Any]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(answer(request.query))

    return handle


def _change(change: Callable[[], None]) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        change()
        return web.Response(status=204)

    return handle


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _problem(error.status, "http_error", f"{request.method} {request.path}: {error.reason}")


def _problem(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)
