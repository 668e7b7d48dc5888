"""Python values to AMQP 1.0 bytes, in the shortest encoding that keeps the type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from struct import Struct
from typing import Any
from uuid import UUID

from devhost.servicebus.amqp.types import (
    Array,
    Described,
    Int,
    Opaque,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

NULL = b"\x40"

pack_uint = Struct(">I").pack
_pack_long = Struct(">q").pack
_pack_ulong = Struct(">Q").pack
_pack_double = Struct(">d").pack
_pack_int = Struct(">i").pack
_BYTES = [bytes((value,)) for value in range(256)]


def encode(value: Any) -> bytes:
    """The encoding of any supported value: an int is a long unless it is of a class that says otherwise.

    Raises TypeError for what AMQP has no type for, OverflowError or struct.error for numbers out of range.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    for kind, inherited in _ENCODERS.items():
        if isinstance(value, kind):
            return inherited(value)
    if isinstance(value, Mapping):
        return map_of(value)
    raise TypeError(f"AMQP has no type for {type(value).__name__}.")


def null(value: None) -> bytes:
    """The only null."""
    return NULL


def boolean(value: bool) -> bytes:
    """True and false, one byte each."""
    return b"\x41" if value else b"\x42"


def uint(value: int) -> bytes:
    """An unsigned 32-bit number."""
    if value < 256:
        return b"\x52" + _BYTES[value] if value else b"\x43"
    return b"\x70" + pack_uint(value)


def ulong(value: int) -> bytes:
    """An unsigned 64-bit number."""
    if value < 256:
        return b"\x53" + _BYTES[value] if value else b"\x44"
    return b"\x80" + _pack_ulong(value)


def integer(value: int) -> bytes:
    """A signed 32-bit number."""
    if -128 <= value < 128:
        return b"\x54" + _BYTES[value & 0xFF]
    return b"\x71" + _pack_int(value)


def long(value: int) -> bytes:
    """A signed 64-bit number."""
    if -128 <= value < 128:
        return b"\x55" + _BYTES[value & 0xFF]
    return b"\x81" + _pack_long(value)


def timestamp(value: int) -> bytes:
    """Milliseconds since the epoch."""
    return b"\x83" + _pack_long(value)


def binary(value: bytes) -> bytes:
    """Bytes."""
    size = len(value)
    return b"\xa0" + _BYTES[size] + value if size < 256 else b"\xb0" + pack_uint(size) + value


def string(value: str) -> bytes:
    """Text."""
    data = value.encode()
    size = len(data)
    return b"\xa1" + _BYTES[size] + data if size < 256 else b"\xb1" + pack_uint(size) + data


def symbol(value: str) -> bytes:
    """A name, in ASCII."""
    data = value.encode("ascii")
    size = len(data)
    return b"\xa3" + _BYTES[size] + data if size < 256 else b"\xb3" + pack_uint(size) + data


def uuid(value: UUID) -> bytes:
    """A UUID, big-endian."""
    return b"\x98" + value.bytes


def list_of(encoded: Iterable[bytes]) -> bytes:
    """A list of items that are encoded already."""
    items = list(encoded)
    return _compound(0xC0, 0xD0, len(items), b"".join(items)) if items else b"\x45"


def map_of(entries: Mapping[Any, Any]) -> bytes:
    """A map; keys and values by their Python types."""
    return map_of_encoded([part for entry in entries.items() for part in map(encode, entry)])


def map_of_encoded(parts: list[bytes]) -> bytes:
    """A map of keys and values in turn that are encoded already."""
    return _compound(0xC1, 0xD1, len(parts), b"".join(parts))


def described(code: int, encoded: bytes) -> bytes:
    """An encoded value under a numeric descriptor below 256, as all of AMQP's own are (smallulong)."""
    return b"\x00\x53" + _BYTES[code] + encoded


def composite(code: int, fields: Iterable[bytes]) -> bytes:
    """A described list of encoded fields."""
    return described(code, list_of(fields))


def _compound(short: int, long_form: int, count: int, content: bytes) -> bytes:
    size = len(content)
    if size < 255 and count < 256:
        return bytes((short, size + 1, count)) + content
    return _BYTES[long_form] + pack_uint(size + 4) + pack_uint(count) + content


def _array(values: Array) -> bytes:
    code, item = _ARRAY_ITEMS[values.kind]
    return _compound(0xE0, 0xF0, len(values), code + b"".join(map(item, values)))


def _long_symbol(value: str) -> bytes:
    data = value.encode("ascii")
    return pack_uint(len(data)) + data


_ARRAY_ITEMS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    Symbol: (b"\xb3", _long_symbol),
    int: (b"\x81", _pack_long),
    Timestamp: (b"\x83", _pack_long),
}

# The order matters for classes derived from these: the first that fits encodes them.
_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): null,
    bool: boolean,
    Symbol: symbol,
    str: string,
    Timestamp: timestamp,
    UByte: lambda value: b"\x50" + bytes((value,)),
    UShort: lambda value: b"\x60" + value.to_bytes(2, "big"),
    UInt: uint,
    ULong: ulong,
    Int: integer,
    int: long,
    float: lambda value: b"\x82" + _pack_double(value),
    bytes: binary,
    UUID: uuid,
    Opaque: lambda value: _BYTES[value.code] + value.data,
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
    Array: _array,
    list: lambda value: list_of(map(encode, value)),
    dict: map_of,
}
