"""Data on its way from the host to a function: how values become Datums, and what JSON bodies add to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from azure.functions.meta import Datum

EMPTY = Datum(None, None)


def to_datum(value: Any) -> Datum:
    """A host value as the real host sends it: text, bytes and floats by themselves, all else as JSON (§2.1)."""
    if value is None:
        return EMPTY
    if isinstance(value, str):
        return Datum(value, "string")
    if isinstance(value, bytes | bytearray):
        return Datum(bytes(value), "bytes")
    if isinstance(value, float):
        return Datum(value, "double")
    return Datum(json.dumps(value, default=_to_json, separators=(",", ":")), "json")


def to_metadata(binding_data: Mapping[str, Any]) -> dict[str, Datum]:
    """Trigger metadata: what of the binding data is not None, without `sys` and names starting with `$`."""
    return {
        name: to_datum(value)
        for name, value in binding_data.items()
        if value is not None and name != "sys" and not name.startswith("$")
    }


def json_properties(text: str) -> dict[str, Any]:
    """What a JSON object's text adds to the binding data: scalars as text, objects as they are, no arrays (§2.1).

    Anything that is not the text of a JSON object adds nothing.
    """
    if not text.lstrip().startswith("{"):
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {name: _scalar(value) for name, value in document.items() if not isinstance(value, list)}


def promote(binding_data: Mapping[str, Any], text: str) -> dict[str, Any]:
    """`binding_data` with a JSON body's properties in it; they replace names that differ in nothing but case."""
    promoted = json_properties(text)
    if not promoted:
        return dict(binding_data)
    builtin = {name.lower(): name for name in binding_data}
    return {**binding_data, **{builtin.get(name.lower(), name): value for name, value in promoted.items()}}


def _scalar(value: Any) -> Any:
    """A JSON scalar as .NET prints it."""
    if value is None or isinstance(value, str | dict):
        return value
    return str(value)


def _to_json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be sent to a function")
