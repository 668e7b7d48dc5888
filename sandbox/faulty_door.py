"""A door at which a service is asked for something: each request is recorded, and may be hit by a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from aiohttp import web

from sandbox.faults import Faults
from sandbox.http_answers import Handler, problem
from sandbox.idempotency import Answer, RefusedError
from sandbox.models import Body, FaultKind, FaultOrder, Operation
from sandbox.world import RequestRecord

PAGE = "<!doctype html><title>Be right back</title><p>The site is being updated (a sandbox fault)."


@dataclass(frozen=True)
class Service:
    """One service with its doors. What it has is asked for each time, since it can be cleared."""

    name: str
    faults: Callable[[], Faults]
    requests: Callable[[], list[RequestRecord]]
    subject: Callable[[Body], dict[str, str]]
    """Whom or what a request is about, by which a fault finds it."""
    declined: tuple[int, str, str]
    """Status, code and text for the fault `decline`."""

    def door(
        self, operation: Operation, parse: Callable[[web.Request, bytes], Any], act: Callable[[str | None, Any], Answer]
    ) -> Handler:
        """One door. `act` is given the Idempotency-Key and what `parse` made of the request."""

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
            self.requests().append(record)
            fault: FaultOrder | None = None
            try:
                body = parse(request, content)
                subject = self.subject(body)
                record.reference = subject.get("reference")
                fault = _fault_in_header(request) or self.faults().take(operation=operation, **subject)
                record.fault = fault.fault if fault else None
                if record.fault == "drop_before":
                    return _dropped(request)
                response = self._refusal_by_fault(fault) or _answered(act(record.key, body))
            except RefusedError as error:
                response = problem(error.status, error.code, str(error))
            if record.fault == "drop_after":
                return _dropped(request)
            if fault and record.fault == "slow":
                await asyncio.sleep(fault.delay)
            record.status = response.status
            return response

        return handle

    def _refusal_by_fault(self, fault: FaultOrder | None) -> web.Response | None:
        match fault:
            case FaultOrder(fault="decline"):
                return problem(*self.declined)
            case FaultOrder(fault="throttle"):
                response = problem(429, "too_many_requests", f"Too many requests; try again in {fault.retry_after} s.")
                response.headers["Retry-After"] = str(fault.retry_after)
                return response
            case FaultOrder(fault="error"):
                return problem(500, "internal_error", f"The {self.name} failed; nothing was booked.")
            case FaultOrder(fault="rubbish"):
                return web.Response(text=PAGE, content_type="text/html")
        return None


def with_key(act: Callable[[str, Any], Answer]) -> Callable[[str | None, Any], Answer]:
    """For what is booked: it is done only for a request that has a key."""

    def act_once(key: str | None, body: Any) -> Answer:
        if not key:
            raise RefusedError(400, "key_missing", "send an Idempotency-Key header, the same one on every retry")
        return act(key, body)

    return act_once


def _answered(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status)


def _dropped(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    # aiohttp wants an answer, which now has nowhere to go.
    return web.Response()


def _fault_in_header(request: web.Request) -> FaultOrder | None:
    kind = request.headers.get("X-Sandbox-Fault")
    if kind is None:
        return None
    if kind not in get_args(FaultKind):
        known = ", ".join(get_args(FaultKind))
        raise RefusedError(400, "unknown_fault", f"X-Sandbox-Fault knows {known}, not {kind!r}")
    return FaultOrder(fault=kind)
