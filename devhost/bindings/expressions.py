"""Binding expressions: `{name}` in a binding's properties, filled in for each invocation (functions-host.md §5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from devhost.bindings.dotnet import FormatError, format_date, format_guid, text_of
from devhost.errors import DevhostError

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")


class BindingExpressionError(DevhostError):
    """A binding expression cannot be read, or names something that the trigger did not bring."""


class BindingExpression:
    """One property of a binding, parsed once. `{{` and `}}` stand for braces."""

    def __init__(self, text: str) -> None:
        """Raises BindingExpressionError if the braces do not match."""
        self.text = text
        self._parts: list[str | tuple[str, str]] = []
        end = 0
        for match in _TOKEN.finditer(text):
            self._parts.append(text[end : match.start()])
            self._parts.append(_parse_token(match, text))
            end = match.end()
        self._parts.append(text[end:])

    @property
    def is_constant(self) -> bool:
        """Whether it comes out the same for every invocation."""
        return all(isinstance(part, str) for part in self._parts)

    def resolve(self, data: Mapping[str, Any]) -> str:
        """Fill in every name from an invocation's binding data, ignoring case.

        Raises BindingExpressionError "No value for named parameter 'x'." as the real host does.
        """
        return "".join(
            part if isinstance(part, str) else self._fill(position, _value(*part, data))
            for position, part in enumerate(self._parts)
        )

    def _fill(self, position: int, value: str) -> str:
        """What is put in place of the name at a position of `_parts`, between texts: its value."""
        return value


def _parse_token(match: re.Match[str], text: str) -> str | tuple[str, str]:
    if match.group() in ("{{", "}}"):
        return match.group()[0]
    if not match.group(1):
        raise BindingExpressionError(
            f"Invalid template '{text}': there is no partner for the '{match.group()}' at position {match.start()}.",
            "Write {name} for a value, {{ and }} for braces.",
        )
    name, _, pattern = match.group(1).partition(":")
    return name.strip(), pattern


def _value(name: str, pattern: str, data: Mapping[str, Any]) -> str:
    value = _system_value(name) if name.lower().startswith("sys.") else None
    if value is None:
        value = _look_up(name, data)
    if value is None:
        value = _system_value(name)
    try:
        if isinstance(value, datetime):
            return format_date(value.astimezone(UTC), pattern)
        if isinstance(value, UUID):
            return format_guid(value, pattern)
    except FormatError as error:
        raise BindingExpressionError(error.message, error.remedy) from error
    if value is None:
        raise BindingExpressionError(f"No value for named parameter '{name}'.")
    return text_of(value)


def _look_up(name: str, data: Mapping[str, Any]) -> Any:
    value: Any = data
    for step in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = next((found for key, found in value.items() if key.lower() == step.lower()), None)
    return value


def _system_value(name: str) -> datetime | UUID | None:
    match name.lower():
        case "datetime" | "sys.utcnow":
            return datetime.now(UTC)
        case "rand-guid" | "sys.randguid":
            return uuid4()
    return None
