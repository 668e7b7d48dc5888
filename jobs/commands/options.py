"""What the commands have in common on the command line: how one is added, and what its values may look like."""

from __future__ import annotations

import argparse
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

Commands = argparse._SubParsersAction
"""Where commands are added; argparse has no public name for it."""

DONE, NOT_DONE, WRONG_USE, CANCELLED, NOT_YET = range(5)
"""The exit codes. WRONG_USE is argparse's own."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Run = Callable[[argparse.Namespace], Awaitable[int]]


def add_command(
    commands: Commands, name: str, help: str, run: Run, codes: str = "0 done; 1 not done: a line on stderr says why"
) -> argparse.ArgumentParser:
    """A command that does `run`, which returns its exit code. `codes`: what its codes mean; 2 always is wrong use."""
    epilog = f"Exit codes: {codes}; 2 the command line is wrong."
    parser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.", epilog=epilog)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)
    return parser


def add_tell(parser: argparse.ArgumentParser) -> None:
    """The options that say where the outcome of a job is told."""
    parser.add_argument("--callback-url", metavar="URL", help="the outcome is sent there, signed: https://…")
    parser.add_argument("--reply-to", metavar="QUEUE", help="the outcome is sent into that Service Bus queue")


def to_tell(options: argparse.Namespace) -> dict[str, str]:
    """What of them was given, by the names that a job's message has for it."""
    given = {"callbackUrl": options.callback_url, "replyTo": options.reply_to}
    return {name: value for name, value in given.items() if value}


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def rate(text: str) -> float:
    """So many a second: a number above 0."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or float(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(text)


def span(text: str) -> timedelta:
    """A span of time: a number and its unit."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a span of time: write 90s, 30m, 12h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str) -> str:
    """A moment as ISO 8601 has it, in UTC unless it says otherwise, or a span of time before now."""
    return _moment(text, lambda: datetime.now(UTC) - span(text), "2h for two hours ago")


def moment_to_come(text: str) -> str:
    """A moment as ISO 8601 has it, in UTC unless it says otherwise, or + and a span of time from now on."""
    return _moment(text, lambda: datetime.now(UTC) + span(text.removeprefix("+")), "+2h for in two hours")


def _moment(text: str, otherwise: Callable[[], datetime], example: str) -> str:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        try:
            given = otherwise()
        except (argparse.ArgumentTypeError, OverflowError):
            message = f"{text!r} is no time: write 2026-11-22T10:00:00Z, or {example}"
            raise argparse.ArgumentTypeError(message) from None
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).isoformat()
