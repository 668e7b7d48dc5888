"""What a function's output holds once the host has read it: one value, or the items of an array."""

from __future__ import annotations

import json
from typing import Any

from azure.functions.meta import Datum

from devhost.bindings.dotnet import looks_like_json
from devhost.errors import DevhostError


class OutputValueError(DevhostError):
    """An output was given a value that the binding cannot write."""


def read_value(value: Datum) -> Any:
    """The value of a datum as the host sees it: JSON parsed, everything else as it is."""
    return json.loads(value.value) if value.type == "json" and value.value is not None else value.value


def read_items(value: Datum) -> list[Any]:
    """The items a collector output writes (functions-host.md §2.4).

    An array, also one inside a text, is one item per element; anything else is one item. A text that looks like JSON
    must be JSON: the real host fails on it too. Raises OutputValueError.
    """
    found = read_value(value)
    if isinstance(found, str) and looks_like_json(found):
        try:
            found = json.loads(found)
        except ValueError as error:
            raise OutputValueError(
                f"The text starts and ends like JSON, but is not ({error}); the host would try to parse it.",
                "Write valid JSON, or send the text as bytes.",
            ) from error
    return found if isinstance(found, list) else [found]
