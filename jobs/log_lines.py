"""The app's structured log lines, read back: out of a host's log, whatever stands around them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_BEGIN = '{"event": '
"""As `jobs.telemetry` writes it."""


@dataclass(frozen=True)
class Line:
    """One line about a job."""

    host: str
    """Whose log it is in: the file's name without its suffix."""
    moment: str | None
    """What the log says in front of it: ISO 8601."""
    fields: dict[str, Any]

    @property
    def job(self) -> str:
        """`<kind>/<id>`, or that it was never one."""
        return f"{self.fields['kind']}/{self.fields['id']}" if {"kind", "id"} <= self.fields.keys() else "no job"

    @property
    def correlation_id(self) -> str:
        return str(self.fields.get("correlationId"))

    def to_dict(self) -> dict[str, Any]:
        return {"host": self.host, "at": self.moment, **self.fields}


def read(path: Path) -> Iterator[Line]:
    """The lines of one log that are about jobs."""
    with path.open(encoding="utf-8", errors="replace") as log:
        for text in log:
            start = text.find(_BEGIN)
            if start < 0:
                continue
            try:
                fields, _ = json.JSONDecoder().raw_decode(text, start)
            except ValueError:
                # It was cut off when its host was killed.
                continue
            if "correlationId" in fields:
                moment = _MOMENT.search(text, 0, start)
                yield Line(path.stem, moment and moment[0], fields)


def about(name: str, lines: Iterable[Line]) -> list[Line]:
    """Those of the job that is called `<kind>/<id>` or `<id>`, or of a correlation id, and of all that shares it.

    By time, and where a log says none, as they came.
    """
    lines = list(lines)
    wanted = {line.correlation_id for line in lines if name in (line.job, line.fields.get("id"), line.correlation_id)}
    return sorted((line for line in lines if line.correlation_id in wanted), key=lambda line: line.moment or "")
