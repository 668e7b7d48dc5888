"""Descriptions as JSON text and back, for the store."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, get_args

from devhost.servicebus.descriptions import Description
from devhost.servicebus.filters import CorrelationFilter, FalseFilter, SqlAction, SqlFilter, TrueFilter

_KINDS = {kind.__name__: kind for kind in get_args(Description)}
_PARTS = {kind.__name__: kind for kind in (TrueFilter, FalseFilter, CorrelationFilter, SqlFilter, SqlAction)}
_KIND = "$kind"


def to_json(description: Description) -> str:
    """A description as text."""
    return json.dumps(_fields(description))


def from_json(text: str) -> Description:
    """The description that to_json() wrote. Fields that it did not know yet have their defaults."""
    document = json.loads(text)
    kind = _KINDS[document.pop(_KIND)]
    return kind(**{name: _value(value) for name, value in document.items()})


def _fields(thing: Any) -> dict[str, Any]:
    named = {field.name: _plain(getattr(thing, field.name)) for field in dataclasses.fields(thing)}
    return {_KIND: type(thing).__name__, **named}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return {_KIND: "datetime", "value": value.isoformat()}
    if isinstance(value, timedelta):
        return {_KIND: "timedelta", "value": value.total_seconds()}
    return value


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kind = value.get(_KIND)
    if kind == "datetime":
        return datetime.fromisoformat(value["value"])
    if kind == "timedelta":
        return timedelta(seconds=value["value"])
    fields = {name: _value(item) for name, item in value.items() if name != _KIND}
    return _PARTS[kind](**fields) if kind else fields
