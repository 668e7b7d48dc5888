"""Conditional answers (RFC 9110): who has seen what would be answered is told so, and is not sent it again."""

from __future__ import annotations

import json
import re
from typing import Any

import azure.functions as func

TAG = re.compile(r'(?:W/)?"([!#-~]*)"')


def is_seen(req: func.HttpRequest, version: str) -> bool:
    """Whether the caller has this version, by If-None-Match."""
    given = req.headers.get("If-None-Match", "")
    return given.strip() == "*" or version in TAG.findall(given)


def answer_unless_seen(
    req: func.HttpRequest, value: Any, version: str, headers: dict[str, str] | None = None
) -> func.HttpResponse:
    """The value as JSON with its version as a weak ETag, or 304. A cache must ask each time."""
    headers = {"ETag": f'W/"{version}"', "Cache-Control": "no-cache"} | (headers or {})
    if is_seen(req, version):
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(json.dumps(value), headers=headers, mimetype="application/json")
