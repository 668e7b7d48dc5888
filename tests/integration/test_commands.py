"""The command line, as processes of its own against a host that runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests import forked
from tests.integration.bus_seen import Bus
from tests.integration.jobs_seen import fresh

Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def command(shop, shop_settings) -> Command:
    """Runs `python -m jobs …`; returns exit code, stdout (parsed if it is JSON) and stderr."""

    def run(*arguments: str, input: Any = None) -> tuple[int, Any, str]:
        done = forked.run(
            [sys.executable, "-m", "jobs", *arguments],
            input="" if input is None else json.dumps(input),
            env={**os.environ, **shop_settings, "NIGHTSHIFT_URL": shop.url},
        )
        out = json.loads(done.stdout) if "--json" in arguments and done.stdout else done.stdout
        return done.returncode, out, done.stderr

    return run


def test_jobs_are_sent_waited_for_and_shown(jobs, command: Command):
    on_bus, declined = fresh("on-bus"), fresh("declined")
    jobs.sandbox.fault({"when": {"customer": declined}, "fault": "decline"})
    jobs.submit(declined)
    sent = command("send", "order", "-", "--id", on_bus, "--bus", input=jobs.order(on_bus))
    assert sent == (0, f"order/{on_bus}\n", "")
    code, out, err = command("wait", f"order/{declined}", on_bus, "--timeout", "60s")
    lines = sorted(line.partition(": CardDeclined: ")[0] for line in out.splitlines())
    assert (code, lines, err) == (1, sorted([f"order/{declined} Failed", f"order/{on_bus} Completed"]), "")
    assert command("show", on_bus, "--json")[:2] == (0, jobs.status(on_bus))
    code, listed, _ = command("list", "--status", "Failed", "--since", "1h", "--top", "999", "--json")
    assert code == 0 and declined in [job["id"] for job in listed]
    code, out, err = command("cancel", f"order/{declined}")
    assert (code, out) == (1, "") and "Failed" in err


def test_dead_letters_are_replayed_and_discarded(jobs, bus: Bus, command: Command):
    for _ in range(2):
        jobs.put(fresh("no job"))
    jobs.shop.drain()
    code, listed, _ = command("dead-letters", "list", "--reason", "NotAJob", "--json")
    assert (code, [letter["source"] for letter in listed]) == (0, ["storage:jobs"] * 2)
    first, second = (letter["id"] for letter in listed)
    code, outcomes, err = command("dead-letters", "replay", first, "--json")
    assert (code, outcomes, err) == (0, [{"id": first, "done": True, "where": "storage:jobs"}], "")
    jobs.shop.drain()
    assert jobs.runs()["take_job"] == 3  # it still is no job
    code, outcomes, err = command("dead-letters", "discard", second, "poison-jobs-999999", "--json")
    assert (code, [outcome["done"] for outcome in outcomes], err) == (1, [True, False], "")
    assert len(bus.dead()) == 1
