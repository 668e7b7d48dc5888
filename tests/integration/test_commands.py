"""The command line, as processes of its own against a host that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.integration.bus_seen import Bus
from tests.integration.jobs_seen import fresh

Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def command(shop, shop_settings) -> Command:
    """Runs `python -m jobs …`; returns exit code, stdout (parsed if it is JSON) and stderr."""

    def run(*arguments: str, input: Any = None) -> tuple[int, Any, str]:
        done = subprocess.run(
            [sys.executable, "-m", "jobs", *arguments],
            input=None if input is None else json.dumps(input),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, **shop_settings, "NIGHTSHIFT_URL": shop.url},
        )
        out = json.loads(done.stdout) if "--json" in arguments and done.stdout else done.stdout
        return done.returncode, out, done.stderr

    return run


@pytest.mark.parametrize("queue", [[], ["--bus"]], ids=["storage", "bus"])
def test_a_job_is_sent_waited_for_and_shown(jobs, command: Command, queue):
    id = fresh("sent")
    assert command("send", "order", "-", "--id", id, *queue, input=jobs.order(id)) == (0, f"order/{id}\n", "")
    assert command("wait", f"order/{id}", "--timeout", "60s") == (0, f"order/{id} Completed\n", "")
    code, shown, _ = command("show", id, "--json")
    assert (code, shown) == (0, jobs.status(id))


def test_a_job_that_fails_is_listed_and_can_no_longer_be_cancelled(jobs, command: Command):
    id = fresh("declined")
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "decline"})
    jobs.submit(id)
    jobs.shop.drain()
    assert command("wait", id)[:2] == (1, f"order/{id} Failed\n")
    code, listed, _ = command("list", "--status", "Failed", "--since", "1h", "--top", "999", "--json")
    assert code == 0 and id in [job["id"] for job in listed]
    code, out, err = command("cancel", f"order/{id}")
    assert (code, out) == (1, "") and "Failed" in err


def test_dead_letters_are_replayed_and_discarded(jobs, bus: Bus, command: Command):
    reason, kept = "NotAJob", len(bus.dead())
    texts = [fresh("no job") for _ in range(2)]
    for text in texts:
        jobs.put(text)
    jobs.shop.drain()
    assert len(bus.dead()) == kept + 2
    code, listed, _ = command("dead-letters", "list", "--reason", reason, "--json")
    first, second = listed[-2:]
    assert code == 0 and {first["source"], second["source"]} == {"storage:jobs"}
    code, body, _ = command("dead-letters", "show", first["id"], "--body")
    assert (code, body in texts) == (0, True)
    code, outcomes, err = command("dead-letters", "replay", first["id"], "--json")
    assert (code, [outcome["id"] for outcome in outcomes], err) == (0, [first["id"]], "")
    jobs.shop.drain()
    assert jobs.runs()["take_job"] == 3  # it still is no job
    code, outcomes, err = command("dead-letters", "discard", second["id"], "poison-jobs-999999", "--json")
    assert (code, [outcome["id"] for outcome in outcomes]) == (1, [second["id"], "poison-jobs-999999"])
    assert len(bus.dead()) == kept + 1
