"""The arguments of a management request, each taken with its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from devhost.servicebus.errors import ArgumentError

_COUNT_LIMIT = 1 << 31


class Arguments:
    """The map in a request's body. Whatever is missing or of another type raises ArgumentError."""

    def __init__(self, body: Any) -> None:
        """`body` as it was decoded."""
        if not isinstance(body, Mapping):
            raise ArgumentError("A request's body is an AMQP value that is a map.")
        self._body = body

    def number(self, name: str) -> int:
        """An integer or a timestamp."""
        return self._get(name, int)

    def count(self, name: str) -> int:
        """How many of something: a number from 0 to 2147483647."""
        count = self.number(name)
        if not 0 <= count < _COUNT_LIMIT:
            raise ArgumentError(f"The request's '{name}' is {count}, which is no count.")
        return count

    def text(self, name: str) -> str:
        """A string."""
        return self._get(name, str)

    def binary(self, name: str) -> bytes:
        """Bytes."""
        return self._get(name, bytes)

    def optional_text(self, name: str) -> str | None:
        """A string; None if it is null or missing."""
        return None if self._body.get(name) is None else self._get(name, str)

    def optional_binary(self, name: str) -> bytes | None:
        """Bytes; None if it is null or missing."""
        return None if self._body.get(name) is None else self._get(name, bytes)

    def optional_map(self, name: str) -> dict[str, Any]:
        """A map with text keys; empty if it is null or missing."""
        entries = {} if self._body.get(name) is None else self._get(name, dict)
        return {str(key): value for key, value in entries.items()}

    def items(self, name: str) -> list[Any]:
        """A list or an array."""
        return self._get(name, list)

    def numbers(self, name: str) -> list[int]:
        """An array of integers."""
        return self._all(name, int)

    def uuids(self, name: str) -> list[UUID]:
        """An array of UUIDs."""
        return self._all(name, UUID)

    def _get(self, name: str, kind: type) -> Any:
        value = self._body.get(name)
        if not isinstance(value, kind):
            raise ArgumentError(f"The request's '{name}' is missing or is no {kind.__name__}.")
        return value

    def _all(self, name: str, kind: type) -> Any:
        values = self._get(name, list)
        if not all(isinstance(value, kind) for value in values):
            raise ArgumentError(f"The request's '{name}' holds something that is no {kind.__name__}.")
        return values
