"""The rows of a file of orders: each is read as an `order` job, or it is said what is wrong with it.

CSV: a header, then a row an order, with the columns

    customerId,name,email,address,card,currency,items
    ada,Ada Byron,ada@example.com,"12 Analytical Row, Nürnberg",tok_ada_4242,EUR,LAMP-MOON:1;TEA-LINDEN:2

in any order, with `,` or `;` between. `items` has a `SKU:quantity` for each article, with `;` between. A field that
holds delimiters, quotes or line ends is put into quotes, quotes inside it doubled. Blanks around a value do not count,
and line ends and several blanks within are one blank.

JSON Lines: each line is the input of one order, as `POST /api/jobs/order` takes it.

What is said of a bad row never repeats a value, since it may be sensitive.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from jobs import strict_json
from jobs.errors import InvalidInputError, NotAJobError
from jobs.import_file import Plan, Record
from jobs.import_header import COLUMNS, Table
from jobs.job import Envelope, Job, parse

KIND = "order"
MOST_FAULTS = 5
"""Of one row: enough to repair it."""
DIGITS = 7
"""Of a line's number in an id."""

_ITEM = re.compile(r"\s*([^:]+?)\s*:\s*([0-9]{1,9})\s*")


class Fault(NamedTuple):
    """What is wrong with one field of a row; `field` is empty when it is wrong as a whole."""

    line: int
    field: str
    reason: str


def id_of(identity: str, line: int) -> str:
    """The id of the order in that line of a file. Ids sort as the lines do."""
    return f"{identity}-{line:0{DIGITS}}"


def line_of(id: str, identity: str) -> int | None:
    """The line that the id of an order of that file names; None when it is no such id."""
    line = id.removeprefix(f"{identity}-")
    return int(line) if len(line) == DIGITS and line.isdecimal() else None


def read(plan: Plan, record: Record, identity: str, correlation_id: str, source: str) -> Job:
    """The order in a row. Raises InvalidInputError, whose fields are named as in the file, and NotAJobError."""
    input = _of_csv(plan.table, record) if plan.table else _of_json(record.data)
    envelope = Envelope(kind=KIND, id=id_of(identity, record.line), input=input, correlation_id=correlation_id)
    return parse(envelope, source=source)


def faults(plan: Plan, line: int, error: InvalidInputError | NotAJobError) -> Iterator[Fault]:
    """What of a row is wrong, at most MOST_FAULTS."""
    fields = getattr(error, "fields", None) or [{"field": "", "message": str(error)}]
    for each in fields[:MOST_FAULTS]:
        yield Fault(line, _column(each["field"]) if plan.table else each["field"], each["message"])


def _column(field: str) -> str:
    """The column that fills a field of the input."""
    return next((name for name, filled in COLUMNS.items() if f"{field}.".startswith(f"{filled}.")), field)


def _of_json(data: bytes) -> dict[str, Any]:
    try:
        value = strict_json.loads(data.rstrip())
    except NotAJobError as error:
        # The line that it names is that of the text, which is one.
        raise NotAJobError(str(error).replace(" line 1,", "")) from None
    if not isinstance(value, dict):
        raise NotAJobError("each line must be a JSON object, the input of an order")
    return value


def _of_csv(table: Table, record: Record) -> dict[str, Any]:
    text = record.data.decode().removesuffix("\n").removesuffix("\r")
    try:
        (values,) = csv.reader([text], delimiter=table.delimiter, strict=True)
    except csv.Error as error:
        if "end of data" in str(error):
            raise NotAJobError("a quote is not closed: all that follows was taken for this row") from None
        message = "quotes must enclose a whole field, and a CR stands only before an LF"
        raise NotAJobError(message + _taken_along(record)) from None
    if len(values) != len(table.columns):
        message = f"the row has {len(values)} fields, and the header {len(table.columns)}"
        raise NotAJobError(message + _taken_along(record))
    row = dict(zip(table.columns, (" ".join(value.split()) for value in values), strict=True))
    customer = {"id": row["customerId"], "name": row["name"], "email": row["email"], "address": row["address"]}
    return {
        "customer": customer,
        "card": row["card"],
        "currency": row["currency"],
        "lines": [_item(text) for text in row["items"].split(";") if text.strip()],
    }


def _taken_along(record: Record) -> str:
    """What to add if lines below may have been rows of their own: nothing else tells of them."""
    last = record.line + record.data.removesuffix(b"\n").count(b"\n")
    return f"; lines {record.line} to {last} were taken for it: is a quote not closed?" if last > record.line else ""


def _item(text: str) -> dict[str, Any]:
    found = _ITEM.fullmatch(text)
    if not found:
        message = "must be SKU:quantity for each article, with ; between"
        raise InvalidInputError(message, [{"field": "lines", "message": message}])
    return {"sku": found[1], "quantity": int(found[2])}
