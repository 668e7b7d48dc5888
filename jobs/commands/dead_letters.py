"""`dead-letters list|show|replay|discard`: look after what could not be done."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial

from jobs import dead_letters, replay
from jobs.commands import printed
from jobs.commands.options import DONE, NOT_DONE, Commands, Run, add_command, count, rate, span
from jobs.letters import DeadLetter
from jobs.replay import Outcome

Settle = Callable[[list[str]], AsyncIterator[Outcome]]
CODES = "0 done to each of them; 1 one was refused or failed, and its line says why"


def add(commands: Commands) -> None:
    verbs = commands.add_parser("dead-letters", help="what could not be done, and why").add_subparsers(
        required=True, metavar="VERB"
    )
    _add_filters(add_command(verbs, "list", "the dead letters there are", show_all))
    parser = add_command(verbs, "show", "one dead letter", show)
    parser.add_argument("id", metavar="ID", help="as `list` gives it: poison-jobs-17")
    parser.add_argument("--body", action="store_true", help="print what failed, byte by byte; it may hold secrets")
    again = _add_choice(verbs, "replay", "put what failed back to where it came from", put_back)
    again.add_argument("--rate", type=rate, metavar="N", help="so many a second at most")
    _add_choice(verbs, "discard", "throw dead letters away, and what failed with them", discard)


def _add_choice(verbs: Commands, name: str, help: str, run: Run) -> argparse.ArgumentParser:
    parser = add_command(verbs, name, help, run, CODES)
    parser.add_argument("ids", metavar="ID", nargs="*", help="as `list` gives them; or choose by the options")
    _add_filters(parser)
    parser.add_argument("--all", action="store_true", help="all there are")
    parser.add_argument("--dry-run", action="store_true", help="only list them")
    parser.set_defaults(refuse=parser.error)
    return parser


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", help="only those with this reason: InvalidInput, CardDeclined…")
    parser.add_argument("--kind", help="only jobs of this kind")
    parser.add_argument("--older-than", type=span, metavar="SPAN", help="only those that came before: 90s, 30m, 7d")
    parser.add_argument("--limit", type=count, metavar="N", help="so many at most")


async def show_all(options: argparse.Namespace) -> int:
    _print([letter async for letter in _found(options)], options)
    return DONE


async def show(options: argparse.Namespace) -> int:
    letter = await dead_letters.get(options.id)
    if options.body:
        body = await letter.body()
        if options.json:
            printed.as_json(letter.to_dict() | {"body": body.decode("utf-8", "replace")})
        else:
            sys.stdout.buffer.write(body)
            sys.stdout.flush()
    elif options.json:
        printed.as_json(letter.to_dict())
    else:
        printed.as_fields(letter.id, letter.to_dict())
    return DONE


async def put_back(options: argparse.Namespace) -> int:
    return await _settle(options, "replayed", partial(replay.replay, rate=options.rate))


async def discard(options: argparse.Namespace) -> int:
    return await _settle(options, "discarded", replay.discard)


async def _settle(options: argparse.Namespace, done: str, settle: Settle) -> int:
    _check_choice(options)
    if options.dry_run:
        return await _only_list(options)
    ids = list(dict.fromkeys(options.ids)) or [letter.id async for letter in _found(options)]
    outcomes: list[Outcome] = []
    try:
        # Closed also when nobody reads on: what it still holds goes to others.
        async with aclosing(settle(ids)) as settled:
            async for outcome in settled:
                outcomes.append(outcome)
                if not options.json:
                    print(_line(outcome, done), flush=True)
    finally:
        # Also when the bus goes away in between: what was done is done.
        if options.json:
            printed.as_json([outcome.to_dict() for outcome in outcomes])
        else:
            print(f"{sum(outcome.error is None for outcome in outcomes)} of {len(ids)} {done}")
    return NOT_DONE if any(outcome.error for outcome in outcomes) else DONE


def _check_choice(options: argparse.Namespace) -> None:
    """To act on everything must be said; so must not be said which ones in two ways."""
    filters = any(given is not None for given in (options.reason, options.kind, options.older_than))
    if options.ids and (filters or options.all or options.limit):
        options.refuse("name dead letters by ID, or choose them by options: not both")
    if not (options.ids or filters or options.all):
        options.refuse("which? Name them by ID, choose by --reason, --kind or --older-than, or say --all")


async def _only_list(options: argparse.Namespace) -> int:
    """What would be acted on. An ID that is not there is an error, as it will be."""
    if options.ids:
        letters = [await dead_letters.get(id) for id in options.ids]
    else:
        letters = [letter async for letter in _found(options)]
    _print(letters, options)
    return DONE


def _found(options: argparse.Namespace) -> AsyncIterator[DeadLetter]:
    return dead_letters.find(
        reason=options.reason, kind=options.kind, older_than=options.older_than, limit=options.limit
    )


def _line(outcome: Outcome, done: str) -> str:
    if outcome.error:
        return f"{outcome.id} not {done}: {outcome.error}"
    return f"{outcome.id} {done}{f' to {outcome.where}' if outcome.where else ''}"


def _print(letters: list[DeadLetter], options: argparse.Namespace) -> None:
    shown = [letter.to_dict() for letter in letters]
    if options.json:
        printed.as_json(shown)
        return
    rows = [
        (
            each["id"],
            each["reason"],
            each["source"],
            "/".join(filter(None, (each["kind"], each["jobId"]))),
            each["firstSeen"],
            each["attempts"],
        )
        for each in shown
    ]
    printed.as_table("Dead letters", ("ID", "Reason", "Source", "Job", "First seen", "Attempts:"), rows)
