"""The header of a CSV file of orders: which column is where, and what stands between them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from jobs.errors import PermanentError

COLUMNS = {
    "customerId": "customer.id",
    "name": "customer.name",
    "email": "customer.email",
    "address": "customer.address",
    "card": "card",
    "currency": "currency",
    "items": "lines",
}
"""All of them required, in any order and any case; with the field of the order's input that each one fills."""
DELIMITERS = ",;"


class HeaderInvalidError(PermanentError):
    """The file does not begin with a header that names the columns."""


@dataclass(frozen=True)
class Table:
    """The columns of a file, in its order."""

    delimiter: str
    columns: list[str]


def read(line: bytes) -> Table:
    """The header in the first line, UTF-8, without its LF.

    Raises HeaderInvalidError, which repeats nothing of the line: it may be a row of a file without header.
    """
    text = line.decode().removesuffix("\r")
    if "\r" in text:
        raise HeaderInvalidError("the lines end with CR alone: save the file with LF or CRLF")
    if re.fullmatch(r"sep=.?", text.strip(), re.IGNORECASE):
        raise HeaderInvalidError(f"the line 'sep=' is for Excel alone: leave it out; {_advice()}")
    if "\t" in text and not any(delimiter in text for delimiter in DELIMITERS):
        raise HeaderInvalidError(f"there are tabs between the columns: {_advice()}")
    delimiter = ";" if ";" in text and "," not in text else ","
    try:
        (fields,) = csv.reader([text], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        raise HeaderInvalidError(f"the quotes of the header are not right: {_advice()}") from None
    known = {name.lower(): name for name in COLUMNS}
    columns = [known.get(field.strip().lower(), "") for field in fields]
    if unknown := [str(number) for number, name in enumerate(columns, 1) if not name]:
        found = ", ".join(unknown[:20]) + (" and more" if len(unknown) > 20 else "")
        raise HeaderInvalidError(f"the header has columns of other names, in place {found}: {_advice()}")
    if missing := [name for name in COLUMNS if name not in columns]:
        raise HeaderInvalidError(f"the header lacks {', '.join(missing)}: {_advice()}")
    if len(columns) != len(COLUMNS):
        raise HeaderInvalidError(f"the header names a column twice: {_advice()}")
    return Table(delimiter, columns)


def _advice() -> str:
    return f"the first line names the columns {','.join(COLUMNS)} in any order, with {' or '.join(DELIMITERS)} between"
