"""`send KIND FILE`: drop a job into a queue."""

from __future__ import annotations

import argparse
import sys
from typing import Any
from uuid import uuid4

from jobs import ids, strict_json
from jobs.clients import clients
from jobs.commands import printed
from jobs.commands.files import read
from jobs.commands.options import DONE, Commands, add_command, add_tell, moment_to_come, to_tell
from jobs.errors import PermanentError, TooLargeError
from jobs.job import open_envelope, parse
from jobs.job_message import default_id
from jobs.links import bus_errors

LARGEST_QUEUE_MESSAGE = 64 * 1024
"""Bytes that a storage queue takes."""


def add(commands: Commands) -> None:
    parser = add_command(commands, "send", "drop a job into a queue, and print its name", run)
    parser.add_argument("kind", metavar="KIND", help="order, mail, analytics…")
    parser.add_argument("file", metavar="FILE", help="the job's input, JSON; - reads from stdin")
    parser.add_argument("--id", help="the job's id; without it, what its input says or each time a new one")
    parser.add_argument("--correlation-id", help="found again in the job's logs and in all that it calls")
    parser.add_argument(
        "--not-before",
        type=moment_to_come,
        metavar="TIME",
        help="the job starts no earlier, within a year: 2026-12-01T08:00Z, or +10m; until then it can be cancelled",
    )
    add_tell(parser)
    parser.add_argument("--check", action="store_true", help="do not send what the app would refuse")
    queues = parser.add_mutually_exclusive_group()
    queues.add_argument("--urgent", action="store_true", help="into jobs-urgent, which no backlog of jobs holds up")
    queues.add_argument("--bus", action="store_true", help="into the Service Bus queue jobs")


async def run(options: argparse.Namespace) -> int:
    fields = {"kind": options.kind, "input": strict_json.loads(read(options.file))}
    fields["id"] = options.id or ids.missing(fields, uuid4().hex)
    if options.correlation_id:
        fields["correlationId"] = options.correlation_id
    if options.not_before:
        fields["notBefore"] = options.not_before
    fields |= to_tell(options)
    wrong = None
    try:
        fields["id"] = parse(open_envelope(fields)).id
    except PermanentError as error:
        if options.check:
            raise
        wrong = error
    queue = "jobs-urgent" if options.urgent else "jobs"
    await (_to_service_bus if options.bus else _to_storage)(queue, fields)
    if wrong:
        print(f"warning: sent, but the app will refuse it (--check does not send such a job): {wrong}", file=sys.stderr)
    if options.json:
        printed.as_json({"kind": fields["kind"], "id": fields["id"], "queue": queue, "bus": options.bus})
    else:
        print(f"{fields['kind']}/{fields['id']}")
    return DONE


async def _to_storage(queue: str, fields: dict[str, Any]) -> None:
    message = strict_json.canonical(fields)
    if len(message) > LARGEST_QUEUE_MESSAGE:
        raise TooLargeError(f"a storage queue takes {LARGEST_QUEUE_MESSAGE // 1024} KB: use --bus, or POST the job")
    await clients().provide()
    await clients().queue(queue).send_message(message.decode())


async def _to_service_bus(queue: str, fields: dict[str, Any]) -> None:
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.exceptions import MessageSizeExceededError

    message = ServiceBusMessage(
        strict_json.canonical(fields), message_id=default_id(fields["id"]), content_type="application/json"
    )
    async with bus_errors(), clients().service_bus.get_queue_sender(queue) as sender:
        try:
            await sender.send_messages(message)
        except MessageSizeExceededError:
            raise TooLargeError("the job is larger than a Service Bus message may be: put more into a blob") from None
