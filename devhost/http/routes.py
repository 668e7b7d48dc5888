"""ASP.NET route templates: what a function's `route` matches, and with which parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from devhost.errors import DevhostError
from devhost.http.constraints import Constraint, parse_constraint

_RESERVED = ("admin", "runtime")


class RouteError(DevhostError):
    """A route template that ASP.NET would refuse."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    constraints: tuple[Constraint, ...]
    optional: bool
    default: str | None
    catch_all: bool


class Route:
    """One template (functions-host.md §3): literals ignore case, parameters are text."""

    def __init__(self, template: str) -> None:
        """Raises RouteError when the template is not valid."""
        self.template = template.strip("/")
        self._parameters: list[_Parameter] = []
        try:
            self._pattern = re.compile(self._compile(), re.IGNORECASE | re.DOTALL)
        except ValueError as error:
            raise RouteError(
                f"its route '{template}' is not valid: {error}.",
                "Routes are ASP.NET templates: orders/{id:int}/{part?}, files/{*path}.",
            ) from None

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters that `path` (decoded, slashes at its ends ignored) gives, or None when it does not match."""
        found = self._pattern.fullmatch(path.strip("/"))
        if found is None:
            return None
        values: dict[str, str] = {}
        for parameter, value in zip(self._parameters, found.groups(), strict=True):
            value = value or parameter.default
            if value is None:
                continue
            if not all(admits(value) for admits in parameter.constraints):
                return None
            values[parameter.name] = value
        return values

    def _compile(self) -> str:
        segments = [list(_parts(segment)) for segment in _segments(self.template)]
        for index, segment in enumerate(segments):
            for part in segment:
                if isinstance(part, _Parameter):
                    self._add(part, alone=len(segment) == 1, last=index == len(segments) - 1)
        pattern = ""
        for index in range(len(segments) - 1, -1, -1):
            pattern = self._segment(segments[index], pattern, first=index == 0)
        return pattern

    def _add(self, parameter: _Parameter, *, alone: bool, last: bool) -> None:
        if any(known.name.lower() == parameter.name.lower() for known in self._parameters):
            raise ValueError(f"the parameter '{parameter.name}' stands in it twice")
        if parameter.catch_all and not (alone and last):
            raise ValueError(f"the catch-all '{parameter.name}' must be its last segment")
        self._parameters.append(parameter)

    @staticmethod
    def _segment(segment: list[str | _Parameter], rest: str, *, first: bool) -> str:
        """The pattern of one segment and of all that follows it."""
        slash = "" if first else "/"
        only = segment[0] if len(segment) == 1 else None
        if isinstance(only, _Parameter):
            if only.catch_all:
                return f"(?:{slash}(.*))?"
            can_be_missing = only.optional or only.default is not None
            # What follows a missing segment must be able to be missing too.
            if can_be_missing and (not rest or rest.endswith(")?")):
                return f"(?:{slash}([^/]+){rest})?"
            return f"{slash}([^/]+){rest}"
        return slash + _complex(segment) + rest


def _complex(segment: list[str | _Parameter]) -> str:
    """A segment of literals and parameters: a parameter takes as much as it can, `.{x?}` may be missing as a whole."""
    pattern = ""
    for index, part in enumerate(segment):
        following = segment[index + 1] if index + 1 < len(segment) else None
        if isinstance(part, _Parameter):
            if part.optional:
                raise ValueError(f"the optional parameter '{part.name}' must be a segment of its own or follow a dot")
            pattern += "([^/]+)"
        elif part.endswith(".") and index == len(segment) - 2 and following.optional:
            # What comes before leaves the last dot to the optional end.
            return (pattern + re.escape(part[:-1])).replace("+)", "+?)") + r"(?:\.([^/.]+))?"
        else:
            pattern += re.escape(part)
    return pattern


def _segments(template: str) -> Iterator[str]:
    """The template cut at slashes outside braces."""
    depth, start = 0, 0
    for index, character in enumerate(template):
        depth += (character == "{") - (character == "}")
        if character == "/" and depth == 0:
            yield template[start:index]
            start = index + 1
    if template:
        yield template[start:]


def _parts(segment: str) -> Iterator[str | _Parameter]:
    if not segment:
        raise ValueError("it has an empty segment")
    literal, index = "", 0
    while index < len(segment):
        character = segment[index]
        if segment[index : index + 2] in ("{{", "}}"):
            literal, index = literal + character, index + 2
        elif character == "{":
            if literal:
                yield literal
                literal = ""
            end = _closing_brace(segment, index)
            yield _parameter(segment[index + 1 : end].replace("{{", "{").replace("}}", "}"))
            index = end + 1
        elif character in "}?":
            raise ValueError(f"'{character}' stands outside a parameter")
        else:
            literal, index = literal + character, index + 1
    if literal:
        yield literal


def _closing_brace(segment: str, opening: int) -> int:
    index = opening + 1
    while index < len(segment):
        if segment[index : index + 2] in ("{{", "}}"):
            # In "{{3}}}" the first pair is doubled, the last brace closes; "}}}" is a doubled one and the closing one.
            index += 2
        elif segment[index] == "}":
            return index
        else:
            index += 1
    raise ValueError("a parameter is not closed")


def _parameter(text: str) -> _Parameter:
    catch_all = text.startswith("*")
    text = text.lstrip("*")
    name = re.match(r"[^:=?]*", text).group()
    if not name or re.search(r"[/{}*]", name):
        raise ValueError(f"'{name}' is not a parameter name")
    rest, constraints = text[len(name) :], []
    while rest.startswith(":"):
        constraint, rest = _cut_constraint(rest[1:])
        constraints.append(parse_constraint(constraint))
    default = rest[1:] if rest.startswith("=") else None
    if rest and default is None and rest != "?":
        raise ValueError(f"'{rest}' after the parameter '{name}' has no meaning")
    return _Parameter(name, tuple(constraints), rest == "?", default, catch_all)


def _cut_constraint(text: str) -> tuple[str, str]:
    """The first constraint, and what follows it: a colon, '=' or '?' counts only outside parentheses."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth <= 0 and character in ":=?":
            return text[:index], text[index:]
    return text, ""


def check_route(route: str, prefix: str) -> None:
    """Raise RouteError for a template that is not valid, or that hides a built-in address."""
    Route(route)
    full = f"{prefix}/{route}".strip("/").lower()
    if full.split("/")[0] in _RESERVED:
        raise RouteError(
            f"its route '{full}' conflicts with the host's own '/{full.split('/')[0]}'.",
            "Choose another route, or another routePrefix in host.json.",
        )


def decode_path(raw_path: str) -> str | None:
    """A request's path as routes see it: decoded, but for `%2F`; `.` and `..` resolved. None when it holds a NUL.

    An escape that is not UTF-8 stays as it was sent.
    """
    segments: list[str] = []
    for raw in raw_path.split("/"):
        segment = _decode_segment(raw)
        if segment is None:
            return None
        if segment == "..":
            if len(segments) > 1:
                segments.pop()
        elif segment != ".":
            segments.append(segment)
    return "/".join(segments)


def _decode_segment(raw: str) -> str | None:
    sent = raw.encode("utf-8", "surrogateescape")
    try:
        text = "%2F".join(unquote_to_bytes(part).decode("utf-8") for part in re.split(b"%2[Ff]", sent))
    except UnicodeDecodeError:
        return sent.decode("utf-8", "replace")
    return None if "\0" in text else text
