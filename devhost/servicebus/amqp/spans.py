"""Where encoded values begin and end, so that they can be copied without being read."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import Any

from devhost.servicebus.amqp.decoder import FIXED_WIDTHS, decode
from devhost.servicebus.amqp.errors import DecodeError

_UINT = Struct(">I")


def skip(buffer: bytes, position: int) -> int:
    """Where the value that starts at `position` ends, without looking into it. Raises DecodeError."""
    try:
        code = buffer[position]
        if code == 0:
            return skip(buffer, skip(buffer, position + 1))
        width = code >> 4
        if width in FIXED_WIDTHS:
            end = position + 1 + FIXED_WIDTHS[width]
        elif width in (0xA, 0xC, 0xE):
            end = position + 2 + buffer[position + 1]
        elif width in (0xB, 0xD, 0xF):
            end = position + 5 + _UINT.unpack_from(buffer, position + 1)[0]
        else:
            raise DecodeError(f"Unknown format code 0x{code:02x} at byte {position}.")
    except (IndexError, StructError, RecursionError) as error:
        raise DecodeError(f"No AMQP value at byte {position}.") from error
    if end > len(buffer):
        raise DecodeError(f"The value at byte {position} is cut off.")
    return end


def map_spans(buffer: bytes, position: int) -> list[tuple[Any, int, int, int]]:
    """The entries of the map at `position` as (key, start of key, start of value, end), for copying them unread.

    Raises DecodeError.
    """
    end = skip(buffer, position)
    code = buffer[position]
    if code == 0xC1 and end - position >= 3:
        count, at = buffer[position + 2], position + 3
    elif code == 0xD1 and end - position >= 9:
        count, at = _UINT.unpack_from(buffer, position + 5)[0], position + 9
    else:
        raise DecodeError(f"No map at byte {position}.")
    spans = []
    while at < end:
        key, value_start = decode(buffer, at)
        value_end = skip(buffer, value_start)
        spans.append((key, at, value_start, value_end))
        at = value_end
    if at != end or count != 2 * len(spans):
        raise DecodeError(f"The map at byte {position} does not hold what it says.")
    return spans


def list_spans(buffer: bytes, position: int) -> list[tuple[int, int]]:
    """The items of the list at `position` as (start, end), for copying them unread. Raises DecodeError."""
    end = skip(buffer, position)
    code = buffer[position]
    if code == 0x45:
        count, at = 0, position + 1
    elif code == 0xC0 and end - position >= 3:
        count, at = buffer[position + 2], position + 3
    elif code == 0xD0 and end - position >= 9:
        count, at = _UINT.unpack_from(buffer, position + 5)[0], position + 9
    else:
        raise DecodeError(f"No list at byte {position}.")
    spans = []
    while at < end:
        item_end = skip(buffer, at)
        spans.append((at, item_end))
        at = item_end
    if at != end or count != len(spans):
        raise DecodeError(f"The list at byte {position} does not hold what it says.")
    return spans
