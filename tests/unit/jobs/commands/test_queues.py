"""`queues`: what waits in each queue, and how many instances Azure would want for it."""

from __future__ import annotations

import json

import pytest

from jobs.commands.program import main
from jobs.scaling import instances_wanted


def queue(name: str, depth: int, oldest: float | None = None, is_more: bool = False) -> dict:
    return {"queue": name, "depth": depth, "oldestSeconds": oldest, "isMore": is_more}


@pytest.mark.parametrize(
    ("name", "depth", "wanted"),
    [("jobs", 0, 0), ("jobs", 1, 1), ("jobs", 16, 1), ("jobs", 17, 2), ("jobs", 1600, 100)]
    + [("servicebus:jobs", 33, 3), ("servicebus:order-events", 8, 1), ("servicebus:order-events", 9, 2)],
)
def test_instances_are_the_backlog_by_what_one_does_at_once(name, depth, wanted):
    assert instances_wanted(name, depth) == wanted


def test_what_waits_is_a_table_or_json(api, capsys):
    found = [queue("jobs", 40, 12.5), queue("servicebus:order-events", 9, None, is_more=True)]
    api.answers["GET /api/queues"] = 200, {"queues": found, "missing": []}
    assert main(["queues"]) == 0
    jobs, events = (line.split() for line in capsys.readouterr().out.splitlines() if "jobs" in line or "events" in line)
    assert jobs[1:-1:2] == ["jobs", "40", "12.5", "3"]
    assert "9 or more" in " ".join(events) and events[-2] == "2"
    assert main(["queues", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == [found[0] | {"instancesWanted": 3}, found[1] | {"instancesWanted": 2}]


def test_a_queue_that_does_not_answer_is_named(api, capsys):
    api.answers["GET /api/queues"] = 200, {"queues": [queue("jobs", 0)], "missing": ["servicebus:jobs"]}
    assert main(["queues"]) == 1
    assert "servicebus:jobs" in capsys.readouterr().err
