"""`wait ID...`: until jobs have ended."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress
from typing import Any

from jobs import ledger
from jobs.commands import api, printed
from jobs.commands.api import HostUnreachableError
from jobs.commands.options import CANCELLED, DONE, NOT_DONE, NOT_YET, Commands, add_command, span
from jobs.errors import JobNotFoundError

CODES = (
    "0 all are Completed; 1 one is Failed, or cannot be asked for; 3 one was Cancelled and none is Failed; "
    "4 the time is over and none is Failed"
)
LONGEST_PAUSE = 2.0


def add(commands: Commands) -> None:
    parser = add_command(commands, "wait", "wait until jobs have ended", run, CODES)
    parser.add_argument(
        "ids", metavar="ID", nargs="+", help="order/A-1001, or A-1001; one that still waits in a queue is waited for"
    )
    parser.add_argument("--timeout", type=span, default="5m", metavar="SPAN", help="90s, 30m, 12h; 0s looks once (5m)")


async def run(options: argparse.Namespace) -> int:
    found: dict[str, dict[str, Any]] = {}
    try:
        await _until_all_have_ended(options, found)
    except TimeoutError:
        left = [f"{name} ({_state(found, name) or 'not known yet'})" for name in options.ids if not _ended(found, name)]
        print(f"error: not ended within {options.timeout}: {', '.join(left)}", file=sys.stderr)
    if options.json:
        printed.as_json([found.get(name, {"id": name, "status": None}) for name in options.ids])
    return _exit_code({_state(found, name) for name in options.ids})


async def _until_all_have_ended(options: argparse.Namespace, found: dict[str, dict[str, Any]]) -> None:
    """Look at least once, and again after growing pauses. `found` gets the statuses. Raises TimeoutError."""
    now = asyncio.get_running_loop().time
    deadline = now() + options.timeout.total_seconds()
    pause = 0.1
    waiting = options.ids
    while True:
        for name in waiting:
            try:
                with suppress(JobNotFoundError):
                    found[name] = await api.find(name)
            except HostUnreachableError:
                # A host that is being restarted comes back; one that never answered may not be there at all.
                if not found:
                    raise
            if _ended(found, name) and not options.json:
                printed.as_lines([_line(found[name])])
                sys.stdout.flush()
        waiting = [name for name in waiting if not _ended(found, name)]
        if not waiting:
            return
        if now() >= deadline:
            raise TimeoutError
        await asyncio.sleep(min(pause, max(0.0, deadline - now())))
        pause = min(LONGEST_PAUSE, pause * 1.5)


def _line(status: dict[str, Any]) -> str:
    line = f"{status['kind']}/{status['id']} {status['status']}"
    error = status.get("error")
    return f"{line}: {error['type']}: {error['message']}" if error else line


def _state(found: dict[str, dict[str, Any]], name: str) -> str | None:
    return found[name]["status"] if name in found else None


def _ended(found: dict[str, dict[str, Any]], name: str) -> bool:
    return _state(found, name) in ledger.FINAL


def _exit_code(states: set[str | None]) -> int:
    if ledger.FAILED in states:
        return NOT_DONE
    if not states <= set(ledger.FINAL):
        return NOT_YET
    return CANCELLED if ledger.CANCELLED in states else DONE
