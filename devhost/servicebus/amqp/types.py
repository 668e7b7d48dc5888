"""Python values that carry their AMQP type, for where the type matters on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Symbol(str):
    """A name from a defined set (AMQP symbol, ASCII)."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since the epoch (AMQP timestamp)."""

    __slots__ = ()


class UByte(int):
    """An unsigned 8-bit number."""

    __slots__ = ()


class UShort(int):
    """An unsigned 16-bit number."""

    __slots__ = ()


class UInt(int):
    """An unsigned 32-bit number."""

    __slots__ = ()


def is_uint(value: Any) -> bool:
    """Whether a decoded value, whose width is not known any more, can be written as an unsigned 32-bit number."""
    return isinstance(value, int) and 0 <= value < 0x1_0000_0000


class ULong(int):
    """An unsigned 64-bit number."""

    __slots__ = ()


class Int(int):
    """A signed 32-bit number; a plain Python int is written as a 64-bit long."""

    __slots__ = ()


class Described(NamedTuple):
    """A value with a descriptor (a ulong code or a symbol) that gives it its meaning."""

    descriptor: Any
    value: Any


class Opaque(NamedTuple):
    """A fixed-width value that is only carried, as the three decimal types are: format code and bytes."""

    code: int
    data: bytes


class Array(list[Any]):
    """Values of one type, written as an AMQP array; `kind` is one of Symbol, int (long), Timestamp."""

    def __init__(self, kind: type, values: Iterable[Any] = ()) -> None:
        super().__init__(values)
        self.kind = kind
