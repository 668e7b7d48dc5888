"""JSON from strangers: parsed strictly, so that what is accepted can be stored, compared and sent on unchanged."""

from __future__ import annotations

import json
import math
from typing import Any

from jobs.errors import NotAJobError


def loads(data: bytes) -> Any:
    """Return the value in `data`, UTF-8 JSON as RFC 8259 has it.

    Raises NotAJobError for what Python's parser would let through but other systems read differently: NaN and
    infinities, duplicate keys, unpaired surrogates; and for what would break it: bad UTF-8, endless nesting or digits.
    """
    try:
        value = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_short,
        )
        canonical(value)
    except UnicodeDecodeError as error:
        raise NotAJobError(f"the text is not UTF-8: byte {error.start} cannot be decoded") from None
    except UnicodeEncodeError:
        raise NotAJobError("a string holds half of a surrogate pair; escape the whole pair or use UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotAJobError(f"the text is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise NotAJobError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise NotAJobError(f"the text is not acceptable JSON: {error}") from None
    return value


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value, for digests and blobs: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object names the same key twice")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _short(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a number has too many digits") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
