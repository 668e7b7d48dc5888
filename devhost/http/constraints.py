"""What ASP.NET routes may demand of a parameter: `{id:int}`, `{name:length(3,8)}`, … (functions-host.md §3)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

Constraint = Callable[[str], bool]

_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_DECIMAL = re.compile(r"\s*[+-]?(\d[\d,]*(\.\d*)?|\.\d+)\s*", re.ASCII)
_FLOAT = re.compile(r"\s*[+-]?((\d[\d,]*(\.\d*)?|\.\d+)(e[+-]?\d+)?|infinity|nan|∞)\s*", re.ASCII | re.IGNORECASE)
_ALPHA = re.compile(r"[a-z]*", re.ASCII | re.IGNORECASE)
_DATE_FORMATS = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m-%d-%Y", "%d %B %Y", "%B %d %Y", "%B %d, %Y")
_LONG = 2**63


def parse_constraint(text: str) -> Constraint:
    """The check that a constraint's text stands for. Raises ValueError for one that ASP.NET does not know."""
    name, parenthesis, rest = text.partition("(")
    if not parenthesis:
        if name.lower() in _PLAIN:
            return _PLAIN[name.lower()]
        raise ValueError(f"the route constraint '{text}' is unknown")
    if not rest.endswith(")"):
        raise ValueError(f"the route constraint '{text}' lacks its closing parenthesis")
    argument = rest[:-1]
    try:
        return _WITH_ARGUMENT[name.lower()](argument)
    except KeyError:
        raise ValueError(f"the route constraint '{text}' is unknown") from None
    except (ValueError, re.error) as error:
        raise ValueError(f"the route constraint '{text}' cannot be used ({error})") from None


def _integer(value: str, bits: int) -> bool:
    return bool(_INTEGER.fullmatch(value)) and len(value) < 40 and -(2 ** (bits - 1)) <= int(value) < 2 ** (bits - 1)


def _is_datetime(value: str) -> bool:
    try:
        datetime.fromisoformat(value.strip())
        return True
    except ValueError:
        return any(_matches_format(value.strip(), format_) for format_ in _DATE_FORMATS)


def _matches_format(value: str, format_: str) -> bool:
    try:
        datetime.strptime(value, format_)
        return True
    except ValueError:
        return False


def _is_guid(value: str) -> bool:
    text = value.strip()
    if text[:1] + text[-1:] in ("{}", "()"):
        text = text[1:-1]
    if not re.fullmatch(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        return False
    UUID(text)
    return True


_PLAIN: dict[str, Constraint] = {
    "int": lambda value: _integer(value, 32),
    "long": lambda value: _integer(value, 64),
    "bool": lambda value: value.strip().lower() in ("true", "false"),
    "datetime": _is_datetime,
    "decimal": lambda value: bool(_DECIMAL.fullmatch(value)),
    "double": lambda value: bool(_FLOAT.fullmatch(value)),
    "float": lambda value: bool(_FLOAT.fullmatch(value)),
    "guid": _is_guid,
    "alpha": lambda value: bool(_ALPHA.fullmatch(value)),
    "required": lambda value: value != "",
    "file": lambda value: "." in value.rsplit("/", 1)[-1].rstrip("."),
    "nonfile": lambda value: "." not in value.rsplit("/", 1)[-1].rstrip("."),
}


def _length(argument: str) -> Constraint:
    bounds = [int(part) for part in argument.split(",")]
    low, high = (bounds[0], bounds[0]) if len(bounds) == 1 else bounds
    return lambda value: low <= len(value) <= high


def _min_length(argument: str) -> Constraint:
    low = int(argument)
    return lambda value: len(value) >= low


def _max_length(argument: str) -> Constraint:
    high = int(argument)
    return lambda value: len(value) <= high


def _range(argument: str) -> Constraint:
    low, high = (int(part) for part in argument.split(","))
    return lambda value: _integer(value, 64) and low <= int(value) <= high


def _regex(argument: str) -> Constraint:
    pattern = re.compile(argument, re.IGNORECASE)
    return lambda value: pattern.search(value) is not None


_WITH_ARGUMENT: dict[str, Callable[[str], Constraint]] = {
    "length": _length,
    "minlength": _min_length,
    "maxlength": _max_length,
    "min": lambda argument: _range(f"{argument},{_LONG - 1}"),
    "max": lambda argument: _range(f"{-_LONG},{argument}"),
    "range": _range,
    "regex": _regex,
}
