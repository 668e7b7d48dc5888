"""What the HTTP doors read from a request in the same way: a body that is not too large, and how many are asked for."""

from __future__ import annotations

import re

import azure.functions as func

from jobs.errors import InvalidInputError, TooLargeError

MOST = 1000
"""So many of a list are shown at once."""


def body_of(req: func.HttpRequest, largest: int, refusal: str) -> bytes:
    """The request's body. Raises TooLargeError, which says the `refusal`, when it has more than `largest` bytes."""
    body = req.get_body()
    if len(body) > largest:
        raise TooLargeError(refusal)
    return body


def top_of(req: func.HttpRequest, default: int) -> int:
    """How many the query asks for with `top`. Raises InvalidInputError."""
    text = req.params.get("top", str(default))
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MOST:
        raise InvalidInputError(f"top: a whole number from 1 to {MOST}")
    return int(text)
