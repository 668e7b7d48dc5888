"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

WIDTH = 160
"""Columns of a table that is not printed to a terminal."""


def as_json(value: Any) -> None:
    print(json.dumps(value))


def as_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; columns whose heading ends in a colon hold figures, which are set to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title)
    for heading in headings:
        justify = "right" if heading.endswith(":") else "left"
        table.add_column(heading.removesuffix(":"), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)


def as_fields(title: str, fields: dict[str, Any]) -> None:
    """The fields of one thing, one a line; what is not there is left out."""
    as_table(title, ("Field", "Value"), [(name, value) for name, value in fields.items() if value is not None])


def as_lines(lines: Iterable[str], file: TextIO | None = None) -> None:
    """Each as it is, on a line of its own however long it is."""
    for line in lines:
        print(_shown(line), file=file)


def _shown(value: Any) -> str:
    """The value on one line, with nothing in it that could command a terminal."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
