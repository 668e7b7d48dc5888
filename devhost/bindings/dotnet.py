"""Renders values as the real host's .NET code does: JSON text, plain text, and date formats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from devhost.errors import DevhostError

DEFAULT_DATE_FORMAT = "yyyy-MM-ddTHH-mm-ssK"
_STANDARD_DATE_FORMATS = {
    "o": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "s": "yyyy-MM-ddTHH:mm:ss",
    "u": "yyyy-MM-dd HH:mm:ssZ",
    "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "d": "MM/dd/yyyy",
    "t": "HH:mm",
}
_DATE_TOKEN = re.compile(r"'([^']*)'|\"([^\"]*)\"|\\(.)|(y+|M+|d+|H+|h+|m+|s+|f+|F+|t+|z+|K)")
_GUID_STYLES = {"": "{}", "d": "{}", "b": "{{{}}}", "p": "({})"}


class FormatError(DevhostError):
    """A format in a binding expression that devhost cannot render."""


def indented_json(value: Any) -> str:
    """JSON as Newtonsoft's JToken.ToString() writes it: two spaces, non-ASCII characters as they are."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def compact_json(value: Any) -> str:
    """JSON without spaces, non-ASCII characters as they are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def text_of(value: Any) -> str:
    """A JSON value as .NET's ToString() renders it: `True`, `1.5`, "" for null; objects and arrays as indented JSON."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dict | list):
        return indented_json(value)
    return str(value)


def looks_like_json(text: str) -> bool:
    """Whether the real host takes a text for a JSON object or array: by its first and last character only."""
    ends = text.strip()
    return len(ends) > 1 and (ends[0], ends[-1]) in {("{", "}"), ("[", "]")}


def format_guid(value: UUID, style: str = "") -> str:
    """A GUID in .NET's style D (the default), N, B or P. Raises FormatError for another style."""
    if style.lower() == "n":
        return value.hex
    try:
        return _GUID_STYLES[style.lower()].format(value)
    except KeyError:
        raise FormatError(f"'{style}' is no GUID format.", "Use N, D, B or P, as in {rand-guid:N}.") from None


def format_date(moment: datetime, pattern: str = "") -> str:
    """A UTC moment in a .NET standard or custom format, invariant culture. Raises FormatError for an unknown one."""
    pattern = pattern or DEFAULT_DATE_FORMAT
    if len(pattern) == 1:
        try:
            pattern = _STANDARD_DATE_FORMATS[pattern.lower() if pattern in "ORo" else pattern]
        except KeyError:
            raise FormatError(
                f"The standard date format '{pattern}' is not covered by devhost (COVERAGE.md).",
                "Use a custom format such as {datetime:yyyy-MM-dd}.",
            ) from None
    return _DATE_TOKEN.sub(lambda match: _date_part(match, moment), pattern)


def _date_part(match: re.Match[str], moment: datetime) -> str:
    literals, token = match.groups()[:3], match.group(4)
    if token is None:
        return next(literal for literal in literals if literal is not None)
    return _DATE_PARTS[token[0]](moment, len(token))


def _year(moment: datetime, width: int) -> str:
    return str(moment.year % 100 if width <= 2 else moment.year).zfill(width)


def _named(number: str, short: str, full: str) -> Callable[[datetime, int], str]:
    def part(moment: datetime, width: int) -> str:
        if width <= 2:
            return str(int(moment.strftime(number))).zfill(width)
        return moment.strftime(short if width == 3 else full)

    return part


def _number(get: Callable[[datetime], int]) -> Callable[[datetime, int], str]:
    return lambda moment, width: str(get(moment)).zfill(min(width, 2))


def _fraction(moment: datetime, width: int) -> str:
    return f"{moment.microsecond:06}0"[:width]


def _offset(moment: datetime, width: int) -> str:
    return {1: "+0", 2: "+00"}.get(width, "+00:00")


_DATE_PARTS: dict[str, Callable[[datetime, int], str]] = {
    "y": _year,
    "M": _named("%m", "%b", "%B"),
    "d": _named("%d", "%a", "%A"),
    "H": _number(lambda moment: moment.hour),
    "h": _number(lambda moment: moment.hour % 12 or 12),
    "m": _number(lambda moment: moment.minute),
    "s": _number(lambda moment: moment.second),
    "f": _fraction,
    "F": lambda moment, width: _fraction(moment, width).rstrip("0"),
    "t": lambda moment, width: ("AM" if moment.hour < 12 else "PM")[:width],
    "z": _offset,
    "K": lambda moment, width: "Z",
}
