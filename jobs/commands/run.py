"""`run KIND FILE`: do a job here and now, without a host: for cron, a container job, or any scheduler of programs."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from uuid import uuid4

from jobs import hostless, ids, ledger, strict_json, telemetry
from jobs.catalog import kind_named
from jobs.commands import printed
from jobs.commands.files import read
from jobs.commands.options import CANCELLED, DONE, NOT_DONE, WRONG_USE, Commands, add_command
from jobs.hostless import NeedsHostError
from jobs.job import open_envelope, parse

CODES = (
    "0 Completed, now or before; 1 Failed, or not done: a line on stderr says why; 2 also a job that needs a host; "
    "3 it was Cancelled before"
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "run", "do a job of a single activity here, without a host", run, CODES)
    parser.add_argument("kind", metavar="KIND", help="mail or analytics; orders and all that has steps need a host")
    parser.add_argument("file", metavar="FILE", help="the job's input, JSON; - reads from stdin")
    parser.add_argument(
        "--id", help="the job's id, by which a repetition is known: name one that a restart has, too; else a new one"
    )
    parser.add_argument("--correlation-id", help="found again in the job's logs and in all that it calls")


async def run(options: argparse.Namespace) -> int:
    try:
        hostless.must_be_one_activity(kind_named(options.kind))
    except NeedsHostError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_USE
    fields = {"kind": options.kind, "input": strict_json.loads(read(options.file))}
    fields["id"] = options.id or ids.missing(fields, uuid4().hex)
    if options.correlation_id:
        fields["correlationId"] = options.correlation_id
    _log_to_stderr()
    entry = await hostless.run(parse(open_envelope(fields), source="command"))
    name = f"{entry.job.kind}/{entry.job.id}"
    if options.json:
        printed.as_json({"kind": entry.job.kind, "id": entry.job.id, "status": entry.state, "error": entry.error})
    else:
        print(f"{name} {entry.state}")
    if entry.state == ledger.FAILED:
        print(f"error: {name}: {(entry.error or {}).get('message', 'see the log')}", file=sys.stderr)
    return {ledger.COMPLETED: DONE, ledger.CANCELLED: CANCELLED}.get(entry.state, NOT_DONE)


def _log_to_stderr() -> None:
    """The lines that a host would log: the job's start and end, and each try that failed."""
    if telemetry.logger.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("[%(asctime)s.%(msecs)03dZ] %(message)s", "%Y-%m-%dT%H:%M:%S"))
    handler.formatter.converter = time.gmtime
    telemetry.logger.addHandler(handler)
    telemetry.logger.setLevel(logging.INFO)
