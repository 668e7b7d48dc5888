"""What a function's HTTP result becomes on the wire (functions-host.md §3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum
from multidict import CIMultiDict

# The server writes these itself, from the body that it sends.
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})
_TEXT = "text/plain; charset=utf-8"


def to_response(result: Datum | None) -> web.Response:
    """The response to a function's encoded result. Raises ValueError for what cannot be sent as HTTP."""
    if result is None or result.type is None:
        return web.Response()
    if result.type == "http":
        value = result.value
        headers = {name: datum.value for name, datum in value["headers"].items()}
        return _response(int(value["status_code"].value), value["body"].value, headers, value["cookies"] or [])
    if result.type == "string":
        return _from_text(result.value)
    body = result.value if isinstance(result.value, bytes) else str(result.value).encode()
    return _response(200, body, {"Content-Type": "application/octet-stream"})


def _from_text(text: str) -> web.Response:
    """Text is parsed as JSON if it can be: an object with a body is a whole response, other values are printed anew."""
    try:
        value = json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return _response(200, text.encode(), {"Content-Type": _TEXT})
    if isinstance(value, dict) and any(key.lower() == "body" for key in value):
        return _from_envelope({key.lower(): entry for key, entry in value.items()})
    return _response(200, _print(value).encode(), {"Content-Type": _TEXT})


def _from_envelope(envelope: Mapping[str, Any]) -> web.Response:
    status = envelope.get("status", envelope.get("statuscode", 200))
    body = envelope["body"]
    headers = {str(name): str(value) for name, value in (envelope.get("headers") or {}).items()}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = _TEXT if isinstance(body, str) else "application/json; charset=utf-8"
    return _response(int(status), _print(body).encode(), headers)


def _print(value: Any) -> str:
    """A JSON value as .NET prints it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    return json.dumps(value, indent=2, ensure_ascii=False)


def _response(status: int, body: bytes, headers: Mapping[str, str], cookies: Any = ()) -> web.Response:
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is not the status of a response")
    fields: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in _FRAMING:
            fields[name] = _field(name, value)
    for cookie in cookies:
        for morsel in cookie.values():
            fields.add("Set-Cookie", morsel.OutputString())
    bodyless = status in (204, 205, 304)
    return web.Response(status=status, body=None if bodyless else body, headers=fields)


def _field(name: str, value: str) -> str:
    if any(character in "\r\n\0" for character in f"{name}{value}"):
        raise ValueError(f"the header {name!r} holds a line break")
    return value


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
