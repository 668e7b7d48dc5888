"""AMQP 1.0 bytes to Python values, bounded by the buffer whatever its counts and sizes claim."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import Any
from uuid import UUID

from devhost.servicebus.amqp.errors import DecodeError
from devhost.servicebus.amqp.types import Described, Opaque, Symbol, Timestamp

MAX_DEPTH = 64
"""Compounds within compounds; what is deeper the SDK could not read either."""
MAX_WIDTHLESS_ITEMS = 32
"""An array of nulls holds as many as it says in no bytes at all; a few bytes must not become gigabytes."""

_Decoder = Callable[[bytes, int, int], tuple[Any, int]]
_MALFORMED = (IndexError, StructError, UnicodeDecodeError, TypeError, ValueError)


def decode(buffer: bytes, position: int = 0) -> tuple[Any, int]:
    """The value that starts at `position`, and where it ends. Integers come without their width.

    Raises DecodeError.
    """
    try:
        return _DECODERS[buffer[position]](buffer, position + 1, 0)
    except _MALFORMED as error:
        raise _malformed(position, error) from error


def decode_composite(buffer: bytes, position: int = 0) -> tuple[int, list[Any], int]:
    """A performative, section or outcome: its numeric code, its fields, and where it ends.

    Raises DecodeError, also for a descriptor that is no number.
    """
    if buffer[position : position + 2] == _SMALL_ULONG:  # the usual form, in one go
        try:
            value, end = _DECODERS[buffer[position + 3]](buffer, position + 4, 1)
            if type(value) is list:
                return buffer[position + 2], value, end
        except _MALFORMED as error:
            raise _malformed(position, error) from error
    value, end = decode(buffer, position)
    if type(value) is Described and type(value.descriptor) is int and type(value.value) is list:
        return value.descriptor, value.value, end
    raise DecodeError(f"No described list at byte {position}.")


_NULL = 0x40
_SMALL_ULONG = b"\x00\x53"
_UINT = Struct(">I")
FIXED_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
"""Bytes behind a format code, by its upper half."""


def _malformed(position: int, error: Exception) -> DecodeError:
    return DecodeError(f"No AMQP value at byte {position}: {error or type(error).__name__}.")


def _constant(value: Any) -> _Decoder:
    return lambda buffer, position, depth: (value, position)


def _fixed(layout: str) -> _Decoder:
    packed = Struct(layout)
    unpack, width = packed.unpack_from, packed.size
    return lambda buffer, position, depth: (unpack(buffer, position)[0], position + width)


def _boolean(buffer: bytes, position: int, depth: int) -> tuple[bool, int]:
    return buffer[position] != 0, position + 1


def _byte(buffer: bytes, position: int, depth: int) -> tuple[int, int]:
    return buffer[position], position + 1


def _timestamp(buffer: bytes, position: int, depth: int) -> tuple[Timestamp, int]:
    return Timestamp.from_bytes(_slice(buffer, position, position + 8), "big", signed=True), position + 8


def _character(buffer: bytes, position: int, depth: int) -> tuple[str, int]:
    return _slice(buffer, position, position + 4).decode("utf-32-be"), position + 4


def _uuid(buffer: bytes, position: int, depth: int) -> tuple[UUID, int]:
    return UUID(bytes=_slice(buffer, position, position + 16)), position + 16


def _opaque(code: int) -> _Decoder:
    width = FIXED_WIDTHS[code >> 4]
    return lambda buffer, position, depth: (
        Opaque(code, _slice(buffer, position, position + width)),
        position + width,
    )


def _slice(buffer: bytes, start: int, end: int) -> bytes:
    if end > len(buffer):
        raise IndexError("cut off")
    return buffer[start:end]


def _short(convert: Callable[[bytes], Any]) -> _Decoder:
    def read(buffer: bytes, position: int, depth: int) -> tuple[Any, int]:
        end = position + 1 + buffer[position]
        if end > len(buffer):
            raise IndexError("cut off")
        return convert(buffer[position + 1 : end]), end

    return read


def _long(convert: Callable[[bytes], Any]) -> _Decoder:
    def read(buffer: bytes, position: int, depth: int) -> tuple[Any, int]:
        end = position + 4 + _UINT.unpack_from(buffer, position)[0]
        return convert(_slice(buffer, position + 4, end)), end

    return read


def _symbol(data: bytes) -> Symbol:
    return Symbol(data, "ascii")


def _compound_header(buffer: bytes, position: int, depth: int, is_long: bool) -> tuple[int, int, int]:
    """Count, start and end of a compound, all within the buffer."""
    if depth >= MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if is_long:
        end = position + 4 + _UINT.unpack_from(buffer, position)[0]
        count, start = _UINT.unpack_from(buffer, position + 4)[0], position + 8
    else:
        end = position + 1 + buffer[position]
        count, start = buffer[position + 1], position + 2
    if end > len(buffer) or start > end:
        raise IndexError("cut off")
    return count, start, end


def _list(is_long: bool) -> _Decoder:
    def read(buffer: bytes, position: int, depth: int) -> tuple[list[Any], int]:
        count, position, end = _compound_header(buffer, position, depth, is_long)
        items: list[Any] = []
        add = items.append
        depth += 1
        while position < end:
            code = buffer[position]
            if code == _NULL:  # most fields of most lists
                add(None)
                position += 1
            else:
                item, position = _DECODERS[code](buffer, position + 1, depth)
                add(item)
        if position != end or len(items) != count:
            raise ValueError("a list that does not hold what it says")
        return items, end

    return read


def _map(is_long: bool) -> _Decoder:
    def read(buffer: bytes, position: int, depth: int) -> tuple[dict[Any, Any], int]:
        count, position, end = _compound_header(buffer, position, depth, is_long)
        entries: dict[Any, Any] = {}
        depth += 1
        pairs = 0
        while position < end:
            key, position = _DECODERS[buffer[position]](buffer, position + 1, depth)
            entries[key], position = _DECODERS[buffer[position]](buffer, position + 1, depth)
            pairs += 1
        if position != end or 2 * pairs != count:
            raise ValueError("a map that does not hold what it says")
        return entries, end

    return read


def _array(is_long: bool) -> _Decoder:
    def read(buffer: bytes, position: int, depth: int) -> tuple[list[Any], int]:
        count, position, end = _compound_header(buffer, position, depth, is_long)
        depth += 1
        descriptor = None
        is_described = buffer[position] == 0
        if is_described:
            descriptor, position = _DECODERS[buffer[position + 1]](buffer, position + 2, depth)
        item_decoder = _DECODERS[buffer[position]]
        position += 1
        if count > max(end - position, MAX_WIDTHLESS_ITEMS):
            raise ValueError("an array that does not hold what it says")
        items = []
        for _ in range(count):
            item, position = item_decoder(buffer, position, depth)
            items.append(Described(descriptor, item) if is_described else item)
        if position != end:
            raise ValueError("an array that does not hold what it says")
        return items, end

    return read


def _described(buffer: bytes, position: int, depth: int) -> tuple[Described, int]:
    if depth >= MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    descriptor, position = _DECODERS[buffer[position]](buffer, position + 1, depth + 1)
    value, position = _DECODERS[buffer[position]](buffer, position + 1, depth + 1)
    return Described(descriptor, value), position


def _unknown(code: int) -> _Decoder:
    def fail(buffer: bytes, position: int, depth: int) -> tuple[Any, int]:
        raise ValueError(f"unknown format code 0x{code:02x}")

    return fail


_DECODERS: list[_Decoder] = [_unknown(code) for code in range(256)]
_DECODERS[0x00] = _described
_DECODERS[_NULL] = _constant(None)
_DECODERS[0x41] = _constant(True)
_DECODERS[0x42] = _constant(False)
_DECODERS[0x43] = _DECODERS[0x44] = _constant(0)
_DECODERS[0x45] = lambda buffer, position, depth: ([], position)
_DECODERS[0x50] = _DECODERS[0x52] = _DECODERS[0x53] = _byte
_DECODERS[0x51] = _DECODERS[0x54] = _DECODERS[0x55] = _fixed(">b")
_DECODERS[0x56] = _boolean
_DECODERS[0x60], _DECODERS[0x61] = _fixed(">H"), _fixed(">h")
_DECODERS[0x70], _DECODERS[0x71], _DECODERS[0x72] = _fixed(">I"), _fixed(">i"), _fixed(">f")
_DECODERS[0x73], _DECODERS[0x74] = _character, _opaque(0x74)
_DECODERS[0x80], _DECODERS[0x81], _DECODERS[0x82] = _fixed(">Q"), _fixed(">q"), _fixed(">d")
_DECODERS[0x83], _DECODERS[0x84] = _timestamp, _opaque(0x84)
_DECODERS[0x94], _DECODERS[0x98] = _opaque(0x94), _uuid
_DECODERS[0xA0], _DECODERS[0xB0] = _short(bytes), _long(bytes)
_DECODERS[0xA1], _DECODERS[0xB1] = _short(bytes.decode), _long(bytes.decode)
_DECODERS[0xA3], _DECODERS[0xB3] = _short(_symbol), _long(_symbol)
_DECODERS[0xC0], _DECODERS[0xD0] = _list(False), _list(True)
_DECODERS[0xC1], _DECODERS[0xD1] = _map(False), _map(True)
_DECODERS[0xE0], _DECODERS[0xF0] = _array(False), _array(True)
