"""Where the sections of an encoded message are, and whether they may be there."""

from __future__ import annotations

from devhost.servicebus.amqp import encoder
from devhost.servicebus.amqp.decoder import decode
from devhost.servicebus.amqp.errors import DecodeError
from devhost.servicebus.amqp.spans import skip

_SHORT = 3


class Section:
    """The descriptor codes of a message's sections, in the order in which they come."""

    HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES = range(0x70, 0x75)
    DATA, SEQUENCE, VALUE, FOOTER = range(0x75, 0x79)


def find_sections(payload: bytes) -> list[tuple[int, int, int, int]]:
    """(code, start, start of the described value, end) of each section. Raises DecodeError."""
    found = []
    position, size = 0, len(payload)
    while position < size:
        if payload[position : position + 2] == b"\x00\x53" and position + 2 < size:
            code, body = payload[position + 2], position + 3
        elif payload[position] == 0:
            code, body = decode(payload, position + 1)
        else:
            raise DecodeError(f"No section at byte {position}.")
        end = skip(payload, body)
        found.append((code, position, body, end))
        position = end
    return found


def are_in_form(sections: list[tuple[int, int, int, int]]) -> bool:
    """Whether they come in their order, each with the short form of its descriptor, the only one the SDK can read."""
    last = 0
    for code, start, body, _ in sections:
        if body - start != _SHORT or code < last:
            return False
        last = code
    return True


def bring_into_form(payload: bytes, sections: list[tuple[int, int, int, int]]) -> bytes:
    """The same message in form: the SDK writes delivery annotations behind all the rest, for example.

    Raises DecodeError if a descriptor is none of a message.
    """
    if not all(type(code) is int and Section.HEADER <= code <= Section.FOOTER for code, *_ in sections):
        raise DecodeError("A section's descriptor is none of a message.")
    ordered = sorted(sections, key=lambda section: section[0])
    return b"".join(encoder.described(code, payload[body:end]) for code, _, body, end in ordered)


def check_sections(payload: bytes, sections: list[tuple[int, int, int, int]]) -> None:
    """Raises DecodeError unless these, in order, can be a message's, and what is only carried can be decoded."""
    if not sections:
        raise DecodeError("There is not a single section.")
    last = 0
    for code, start, body, _ in sections:
        if not Section.HEADER <= code <= Section.FOOTER or code == last not in (Section.DATA, Section.SEQUENCE):
            raise DecodeError(f"Section 0x{code:02x} at byte {start} is out of place.")
        if code == Section.DATA and payload[body] not in (0xA0, 0xB0):
            raise DecodeError(f"The data section at byte {start} is not binary.")
        if code > Section.DATA or code == Section.DELIVERY_ANNOTATIONS:
            decode(payload, body)
        last = code
