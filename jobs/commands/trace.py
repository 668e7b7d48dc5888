"""`trace ID LOG...`: what became of one job and of all that belongs to it, from the logs of any number of hosts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs import log_lines
from jobs.commands import printed
from jobs.commands.files import must_exist
from jobs.commands.options import DONE, Commands, add_command
from jobs.errors import JobNotFoundError
from jobs.log_lines import Line


def add(commands: Commands) -> None:
    parser = add_command(commands, "trace", "what became of a job and of all that belongs to it, from logs", run)
    parser.add_argument("id", metavar="ID", help="order/A-1001, A-1001, or a correlation id")
    parser.add_argument("logs", metavar="LOG", nargs="+", type=Path, help="what a host has logged; of each host one")


async def run(options: argparse.Namespace) -> int:
    for path in options.logs:
        must_exist(path)
    found = log_lines.about(options.id, [line for path in options.logs for line in log_lines.read(path)])
    if not found:
        raise JobNotFoundError(
            f"no line is about {options.id!r}: is a host's log missing, or its level above Information?"
        )
    if options.json:
        printed.as_json([line.to_dict() for line in found])
    else:
        printed.as_lines(_tree(found))
    return DONE


def _tree(found: list[Line]) -> Iterator[str]:
    """By correlation id and job, each where its first line is."""
    jobs: dict[tuple[str, str], list[Line]] = {}
    for line in found:
        jobs.setdefault((line.correlation_id, line.job), []).append(line)
    correlation_id = None
    for (its, job), lines in sorted(jobs.items(), key=lambda each: found.index(each[1][0])):
        if its != correlation_id:
            correlation_id = its
            yield its
        yield f"  {job}"
        yield from (f"    {line.moment or '':24}  {line.host}  {_said(line.fields)}" for line in lines)


def _said(fields: dict[str, Any]) -> str:
    words = [fields["event"], fields.get("step")]
    words += [f"{name} {fields[name]}" for name in ("attempt", "waitSeconds", "runSeconds") if name in fields]
    error = fields.get("error")
    if isinstance(error, dict):
        words.append(f"{error.get('type')}: {error.get('message')}")
    return "  ".join(str(word) for word in words if word)
