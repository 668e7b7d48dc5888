"""Runs every contestant in a process of its own, round by round, prints the tables: `python -m bench`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict

from rich.console import Console

from bench import queue_trigger, servicebus
from bench.process import run_alone
from bench.report import TITLES, print_report
from bench.workload import Measurement

CONTESTANT_SECONDS = 300

console = Console(width=None if sys.stdout.isatty() else 120)


class ContestantFailedError(Exception):
    """A contestant's process failed; the text holds the end of its error output."""


def main() -> int:
    """Measure, print, and return the exit code: 0 when every contestant finished with right answers, however slow."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "contestants", nargs="*", metavar="CONTESTANT", help=f"some of {', '.join(TITLES)}; default all"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs; figures are medians (default: 3)")
    arguments = parser.parse_args()
    if unknown := set(arguments.contestants) - set(TITLES):
        parser.error(f"no such contestant: {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")

    runs, failures = _measure_all(arguments.contestants or list(TITLES), arguments.rounds)
    print_report(runs, console)
    for failure in failures:
        console.print(failure, style="red", markup=False)
    if not arguments.contestants:
        queue_trigger.main()
        servicebus.main()
    return 1 if failures else 0


def _measure_all(contestants: list[str], rounds: int) -> tuple[dict[str, list[Measurement]], list[str]]:
    """Take turns within a round, so that a busy spell of the machine does not fall on one contestant alone."""
    runs: dict[str, list[Measurement]] = defaultdict(list)
    failures: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for contestant in contestants:
            if contestant in failures:
                continue
            try:
                with console.status(f"round {number} of {rounds}: {contestant}"):
                    run = _measure(contestant)
            except ContestantFailedError as error:
                failures[contestant] = str(error)
                runs.pop(contestant, None)
            else:
                runs[contestant].append(run)
                console.print(f"round {number}: {contestant:<12}{run.chains_per_second:6.0f} chains/s", highlight=False)
    return runs, list(failures.values())


def _measure(contestant: str) -> Measurement:
    with tempfile.TemporaryFile() as errors:
        try:
            command = [sys.executable, "-m", "bench.contestants", contestant]
            exit_code, output = run_alone(command, errors, CONTESTANT_SECONDS)
        except subprocess.TimeoutExpired as expired:
            raise ContestantFailedError(f"{contestant}: not done within {expired.timeout:.0f} s") from None
        errors.seek(0)
        if exit_code != 0:
            tail = errors.read().decode(errors="replace")[-3000:]
            raise ContestantFailedError(f"{contestant}: exit code {exit_code}\n{tail}")
    return Measurement(**json.loads(output.splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
