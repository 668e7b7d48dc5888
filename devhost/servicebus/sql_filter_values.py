"""How values compare and count in SQL filters: three-valued logic, C#'s arithmetic. None is unknown.

Values of different types do not compare, the outcome is unknown: in Azure a filter `Quantity > 10` takes no message
whose Quantity is a text, and reports none.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from devhost.servicebus.filters import FilterError

INT64 = range(-(2**63), 2**63)

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = (int, float, str, datetime, timedelta)
_UNORDERED = (bool, UUID, bytes)


def compare(sign: str, left: Any, right: Any) -> bool | None:
    """Whether `left sign right`; None when that is unknown."""
    if left is None or right is None or not _are_alike(left, right):
        return None
    if sign not in ("=", "<>", "!=") and isinstance(left, _UNORDERED):
        return None
    try:
        return _COMPARISONS[sign](left, right)
    except TypeError:  # a time with a zone against one without
        return None


def is_in(left: Any, items: list[Any]) -> bool | None:
    """Whether one of the items equals `left`: an OR over all of them."""
    if left is None:
        return None
    outcomes = [compare("=", left, item) for item in items]
    return True if True in outcomes else None if None in outcomes else False


def is_like(text: Any, pattern: Any, escape: Any) -> bool | None:
    """Whether `text` is as the pattern says: `%` any characters, `_` one. Raises FilterError."""
    if escape is not None and not (isinstance(escape, str) and len(escape) == 1):
        raise FilterError(f"ESCAPE needs a text of one character, not {escape!r}.")
    if not isinstance(text, str) or not isinstance(pattern, str):
        return None
    return _pattern(pattern, escape).fullmatch(text) is not None


def negate(value: bool | None) -> bool | None:
    """NOT."""
    return None if value is None else not value


def calculate(sign: str, left: Any, right: Any) -> Any:
    """`left sign right` by C#'s rules: whole numbers stay whole. Raises FilterError."""
    if left is None or right is None:
        return None
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if not _is_number(left) or not _is_number(right):
        raise FilterError(f"'{sign}' does not go with {left!r} and {right!r}.")
    try:
        is_whole = isinstance(left, int) and isinstance(right, int)
        value = _whole(sign, left, right) if is_whole else _broken(sign, float(left), float(right))
    except ZeroDivisionError:
        raise FilterError(f"{left!r} {sign} 0: division by zero.") from None
    except OverflowError:
        raise FilterError(f"{left!r} {sign} {right!r} is too large.") from None
    if isinstance(value, int) and value not in INT64:
        raise FilterError(f"{left!r} {sign} {right!r} does not fit into 64 bits.")
    return value


def as_condition(value: Any) -> bool | None:
    """A value that stands where a condition is wanted. Raises FilterError."""
    if value is None or isinstance(value, bool):
        return value
    raise FilterError(f"{value!r} is neither true nor false.")


def _whole(sign: str, left: int, right: int) -> int:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":  # towards zero, unlike Python's
            return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        case _:  # the sign of the left side, unlike Python's
            return abs(left) % abs(right) * (-1 if left < 0 else 1)


def _broken(sign: str, left: float, right: float) -> float:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right if right else left * math.copysign(math.inf, right) if left else math.nan
        case _:
            return math.fmod(left, right) if right and math.isfinite(left) else math.nan


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_alike(left: Any, right: Any) -> bool:
    if _is_number(left) or _is_number(right):
        return _is_number(left) and _is_number(right)
    kinds = (*_UNORDERED, *_ORDERED)
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in kinds)


@lru_cache(maxsize=256)
def _pattern(pattern: str, escape: str | None) -> re.Pattern[str]:
    pieces = [""]
    signs = iter(pattern)
    for sign in signs:
        if sign == escape:
            pieces[-1] += re.escape(next(signs, sign))
        elif sign == "%":
            pieces.append("")
        else:
            pieces[-1] += "." if sign == "_" else re.escape(sign)
    first, *others = pieces
    if not others:
        return re.compile(first, re.DOTALL)
    # The first place where a piece fits is as good as any later one: atomic groups keep the search linear.
    between = "".join(f"(?>.*?{piece})" for piece in others[:-1])
    return re.compile(f"{first}{between}.*{others[-1]}", re.DOTALL)
