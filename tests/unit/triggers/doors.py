"""The HTTP functions of the app, called as the worker calls them, without a host."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import azure.functions as func

import function_app


@cache
def functions() -> dict[str, Any]:
    """Every function of the app by name, as registered. The app may be asked only once (functions-host.md §1.1)."""
    return {function.get_function_name(): function for function in function_app.app.get_functions()}


async def ask(
    door: str,
    durable: Any = None,
    *,
    method: str = "GET",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    **route: str,
) -> func.HttpResponse:
    """Knock at one door. `route`: the values of the route's parameters."""
    function = functions()[door].get_user_function()
    request = func.HttpRequest(
        method, "http://localhost/api", headers=headers, params=params, route_params=route, body=body
    )
    # A function with a durable client is wrapped: the wrapper makes the client from text that only a host has.
    if durable is not None:
        return await function.client_function(req=request, client=durable)
    return await function(req=request)


def content(answer: func.HttpResponse) -> Any:
    return json.loads(answer.get_body())
