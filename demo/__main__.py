"""`python -m demo`: real orders through the app, and whether what became of them is what should have."""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Until end_on_signals there is nothing to stop, and a traceback out of an import helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from demo import balance, board, files, told
from demo import imported as imports
from demo.approver import Approver
from demo.outcomes import Case, Following
from demo.processes import ROOT, StartError, end_on_signals
from demo.receiver import Receiver
from demo.scenarios import GROUPS
from demo.shop import Shop
from demo.stack import Pace, Stack, explain, stack
from devhost.errors import DevhostError

PATIENCE = 50.0
PACE = Pace(
    parcel=0.7,
    settings={
        "APPROVAL_REMINDER": "3",
        "APPROVAL_ESCALATION": "6",
        "SHIPMENT_FIRST_INTERVAL": "3",
        "DELIVERY_FIRST_PAUSE": "1",
    },
)
"""What takes days takes seconds here."""
INTRODUCTION = """
Jobs go in at five doors: HTTP, the storage queues [b]jobs[/] and [b]jobs-urgent[/], the Service Bus queue [b]jobs[/],
and the containers [b]photos[/] and [b]order-imports[/]. For some the gateway or the mail server is told to fail.
What takes days takes seconds here. What becomes of each must be as expected; what cannot be done must rest in a
dead-letter queue, with its reason.
"""
LOGS = ROOT / ".cache" / "demo"
HOST_LOG = LOGS / "host.log"


def main() -> int:
    """Exit code 0 when every outcome is as expected and everything balances, 1 when not, 130 after Ctrl-C."""
    # In a file or a CI log nothing says how wide a line may be.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 112)
    LOGS.mkdir(parents=True, exist_ok=True)
    end_on_signals()
    began = time.monotonic()
    try:
        console.print("Starting Azurite, Service Bus, the sandbox and the app on the local host …", style="dim")
        with stack(logs=LOGS, host_log=HOST_LOG, pace=PACE) as running:
            console.print(f"Up after {time.monotonic() - began:.1f} s; the app answers at {running.app}", style="dim")
            console.print(INTRODUCTION)
            differences = show(console, running)
            if code := running.host.stop():
                differences.append(f"the host was to drain and end with exit code 0, but it was {code}")
    except KeyboardInterrupt:
        return 130
    except (StartError, DevhostError, httpx.HTTPError) as error:
        console.print(f"[bold red]The demo could not go on.[/] {escape(explain(error))}", soft_wrap=True)
        console.print(f"The host's log: {HOST_LOG.relative_to(ROOT)}")
        return 1
    seconds = time.monotonic() - began
    if not differences:
        console.print(f"[bold green]Everything agrees[/], in {seconds:.0f} s. To play with it yourself: make run")
        return 0
    console.print("[bold red]This does not agree:[/]", *(f"  {escape(line)}" for line in differences), sep="\n")
    console.print(f"The host's log: {HOST_LOG.relative_to(ROOT)}")
    return 1


def show(console: Console, running: Stack) -> list[str]:
    """Let every scenario happen, print what became of it, and return what is not as it should be."""
    groups = {pattern: [Case(scenario) for scenario in group] for pattern, group in GROUPS.items()}
    cases = [case for group in groups.values() for case in group]
    with (
        httpx.Client(base_url=running.sandbox) as sandbox,
        Shop(running.app, running.connection_string, running.service_bus, running.jobs, sandbox) as shop,
        Receiver(running.settings["WEBHOOK_SECRET"]) as receiver,
    ):
        today = date.today()
        order_faults(sandbox, cases)
        following = Following(shop, cases, Approver(sandbox), receiver)
        follow(console, groups, following)
        letters = shop.dead_letters()
        console.print("", board.dead_letters(letters))
        sandbox.delete("/faults").raise_for_status()
        for case in cases:
            if case.scenario.replayed:
                replay(console, running, following, letters, case)
        imported = imports.wait(shop, {case.job_id for case in cases}, PATIENCE)
        heard = told.listen(shop, receiver, lambda: sandbox.get("/mailbox").json()["messages"], PATIENCE)
        result = balance.draw_up(
            cases,
            imported,
            json.loads(running.jobs("stock", "list", "--json")),
            sandbox.get("/payments/ledger").json(),
            sandbox.get("/payments/requests").json(),
            sandbox.get("/mailbox").json(),
        )
        made = files.look(shop, cases, imported, today, result, LOGS)
    console.print("", board.told(heard), "", board.files(made), sep="\n")
    for table in (board.gateway(result), board.stock(result), board.money(result)):
        console.print("", table)
    console.print("", board.mails(result), "", sep="\n")
    wrong = [case for case in cases if not case.is_right]
    return [
        f"{case.scenario.id} ({case.scenario.story}): expected {case.scenario.expected}, but it is "
        f"{case.outcome or f'still at {case.step!r}'}"
        for case in wrong
    ] + [
        *replay_differences(cases),
        *letter_differences(cases, letters),
        *told.differences(heard),
        *made.differences(),
        *result.differences(),
    ]


def order_faults(sandbox: httpx.Client, cases: Sequence[Case]) -> None:
    """Tell the sandbox what shall go wrong, each for one customer only."""
    for case in cases:
        for fault in case.scenario.faults:
            sandbox.post("/faults", json=case.aim(fault)).raise_for_status()


def replay(
    console: Console, running: Stack, following: Following, letters: Sequence[Mapping[str, Any]], case: Case
) -> None:
    """Replay a job's dead letter as an operator does, now that its faults are gone, and wait for its end."""
    ids = [letter["id"] for letter in letters if letter["jobId"] == case.scenario.id]
    if not ids:
        return
    running.jobs("dead-letters", "replay", *ids)
    deadline = time.monotonic() + PATIENCE
    while case.outcome_of_replay is None and time.monotonic() < deadline:
        following.look_after_replay(case)
        time.sleep(0.1)
    console.print("", board.replay(ids[0], case), sep="\n")


def replay_differences(cases: Sequence[Case]) -> Iterator[str]:
    """What did not end after its replay as it should."""
    for case in cases:
        if case.outcome_of_replay != case.scenario.replayed:
            was = case.outcome_of_replay or "not done"
            yield f"{case.scenario.id}: expected {case.scenario.replayed} after the replay, but it is {was}"


def letter_differences(cases: Sequence[Case], letters: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Dead letters that are missing, and those that nobody expects, by reason and source."""
    expected = Counter(case.scenario.letter for case in cases if case.scenario.letter)
    found = Counter((letter["reason"], letter["source"]) for letter in letters)
    for what, differing in (("missing", expected - found), ("not expected", found - expected)):
        for (reason, source), count in differing.items():
            yield f"{count} dead letter{'' if count == 1 else 's'} {reason} from {source}: {what}"


def follow(console: Console, groups: Mapping[str, Sequence[Case]], following: Following) -> None:
    """Submit everything and look until all has ended or patience is over, showing how it goes."""
    began = time.monotonic()
    cases = [case for group in groups.values() for case in group]
    told: set[int] = set()

    def show_progress() -> None:
        if console.is_terminal:
            live.update(board.jobs(groups, time.monotonic() - began), refresh=True)
            return
        for number, case in enumerate(cases):
            if case.outcome and number not in told:
                told.add(number)
                console.print(f"{time.monotonic() - began:4.1f} s  {case.scenario.id:6}  {case.outcome}")

    with Live(console=console, auto_refresh=False) as live:
        # Uploads first: each is a command that takes a while, in which no other case is looked at. Last what must be
        # looked at in time.
        for case in sorted(cases, key=lambda case: (not case.scenario.is_upload, bool(case.scenario.cancel_at))):
            following.submit(case)
            following.answer()
            show_progress()
        while following.open_cases and time.monotonic() - began < PATIENCE:
            # On a busy machine the step at which a case is cancelled would be over before all had been looked at.
            if not following.hurry():
                following.look()
            show_progress()
            time.sleep(0.1)
        if not console.is_terminal:
            console.print()
        live.update(board.jobs(groups, time.monotonic() - began), refresh=True)
    if not console.is_terminal:
        # There, Live leaves its last line open.
        console.print()


if __name__ == "__main__":
    sys.exit(main())
