"""A shipment's looks: when they are, what they mail, how they go on, and what ends them. The activities are fakes."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.shipment import LOOKS, UNKNOWN_INTERVAL, watch
from tests.unit.orchestrators.engine import Engine

pytestmark = pytest.mark.anyio

FIRST, LONGEST = 900.0, 7200.0
INPUT = {"parcel": "PX1", "order": "A-1"}
JOB = {"kind": "shipment", "id": "PX1"}
RUN = {"started_at": "2026-01-01T00:00:00Z", "tag": None, "attempt": 1}
UNAVAILABLE = {"type": "StorageUnavailable", "message": "busy", "retryable": True, "retryAfter": None}
STATES = ["announced", "collected", "in-transit", "out-for-delivery"]


class World:
    """A parcel and its customer. `plan`: by the number of the look, what has happened before it."""

    def __init__(self, plan: dict[int, str], deadline: float = 45 * 86_400.0) -> None:
        self.plan = plan
        self.arguments: dict[str, Any] = {"job": JOB, "input": INPUT, "deadlineSeconds": deadline}
        self.changes: list[dict[str, Any]] = []
        self.mailed: list[str] = []
        self.failing: list[dict[str, Any]] = []
        """Errors of the mails to come."""
        self.refused = 0
        self.ended: dict[str, Any] = {}

    async def look(self, arguments: dict[str, Any]) -> dict[str, Any]:
        number = arguments["input"]["look"]
        event = self.plan.get(number)
        if event == "fails":
            return {"error": UNAVAILABLE}
        if event == "crashes":
            raise RuntimeError("the worker is gone")
        if event == "unset":
            return {"error": {"type": "SettingMissing", "message": "CARRIER_URL", "retryable": False}}
        if event and event != "outage":
            self.changes.append({"sequence": len(self.changes) + 1, "state": event, "at": "2026-01-01T00:00:00Z"})
        newest = self.changes[-1] if self.changes else None
        found = {
            "newest": newest,
            "isOver": bool(newest) and newest["state"] in ("delivered", "returned"),
            "untold": self.changes[len(self.mailed) + self.refused :],
            "outage": event == "outage",
            "wake": f"news.{number}",
            "first": FIRST,
            "longest": LONGEST,
        }
        return {"ok": found, **({"run": RUN} if arguments.get("begin") else {})}

    async def mail(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.failing:
            error = self.failing.pop(0)
            self.refused += not error["retryable"]
            return {"error": error}
        self.mailed.append(arguments["input"]["state"])
        return {"ok": None}

    async def end(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.ended = arguments["input"]
        return {"ok": None}

    async def watch(self, events: dict[str, str] | None = None) -> Engine:
        """One execution of the job's instance."""
        activities = {"look_up_parcel": self.look, "mail_parcel_news": self.mail, "end_job": self.end}
        engine = Engine(watch, self.arguments, activities)
        engine.events = events or {}
        await engine.run("shipment-PX1")
        assert engine.error is None
        if engine.continued:
            (self.arguments,) = engine.continued
        return engine


def looks(engine: Engine) -> list[int]:
    return [arguments["input"]["look"] for name, arguments in engine.calls if name == "look_up_parcel"]


async def test_intervals_grow_while_nothing_changes_and_shrink_when_something_does():
    world = World({1: "announced", 6: "collected", 7: "outage", 8: "outage", 9: "delivered"})
    engine = await world.watch()
    assert engine.pauses == [FIRST, 1800, 3600, LONGEST, LONGEST, FIRST, 1800, 3600]
    assert world.mailed == ["announced", "collected", "delivered"]
    assert (world.ended["state"], world.ended["result"]) == (
        "Completed",
        {"state": "delivered", "parcel": "PX1", "looks": 9},
    )
    outages = [status["outages"] for status in engine.statuses]
    assert (max(outages), outages[-1]) == (2, 0)


async def test_a_parcel_that_comes_back_ends_the_job_too():
    world = World({1: "announced", 2: "returned"})
    await world.watch()
    assert (world.ended["state"], world.ended["result"]["state"]) == ("Completed", "returned")


async def test_looks_that_fail_are_made_good_by_the_next():
    world = World({1: "fails", 2: "crashes", 3: "announced", 4: "crashes", 5: "delivered"})
    engine = await world.watch()
    assert engine.pauses == [UNKNOWN_INTERVAL, UNKNOWN_INTERVAL, FIRST, FIRST]
    assert (looks(engine), world.mailed) == ([1, 2, 3, 4, 5], ["announced", "delivered"])


async def test_what_no_look_can_make_good_ends_the_job():
    world = World({1: "unset"})
    await world.watch()
    assert (world.ended["state"], world.ended["error"]["type"]) == ("Failed", "SettingMissing")


async def test_several_changes_found_at_once_are_mailed_in_their_order():
    world = World({1: "announced", 2: "delivered"})
    world.changes = [{"sequence": n, "state": state, "at": "x"} for n, state in enumerate(STATES[:3], 1)]
    await world.watch()
    assert world.mailed == [*STATES[:3], "announced", "delivered"]


async def test_while_the_mail_server_is_away_the_news_stay_untold_and_the_job_goes_on():
    world = World({1: "announced", 2: "delivered"})
    away = {"type": "MailServerUnavailable", "message": "away", "retryable": True, "retryAfter": None}
    world.failing = [away] * 3 * (LOOKS + 1)
    executions = []
    while not world.ended:
        executions.append(await world.watch())
    # Three tries after each look, which begins a new execution, until the server is back.
    assert [looks(engine) for engine in executions[:-1]] == [[number] for number in range(1, LOOKS + 2)]
    assert executions[5].pauses[-1] == FIRST
    assert world.mailed == ["announced", "delivered"]
    assert (world.ended["state"], "incomplete" in world.ended["result"]) == ("Completed", False)


async def test_a_mail_that_is_refused_is_not_tried_again_and_ends_nothing():
    world = World({1: "announced", 2: "delivered"})
    world.failing = [{"type": "MailRefused", "message": "550", "retryable": False, "retryAfter": None}]
    await world.watch()
    assert world.mailed == ["delivered"]
    assert world.ended["result"]["incomplete"]["mail_parcel_news"]["type"] == "MailRefused"


async def test_after_some_looks_it_goes_on_in_a_new_execution():
    world = World({1: "announced", 2 * LOOKS + 1: "delivered"})
    executions = [await world.watch() for _ in range(3)]
    assert [looks(engine)[0] for engine in executions] == [1, LOOKS + 1, 2 * LOOKS + 1]
    assert executions[1].pauses == [LONGEST] * LOOKS
    assert world.ended["result"] == {"state": "delivered", "parcel": "PX1", "looks": 2 * LOOKS + 1}
    assert max(len(engine.history) for engine in executions) <= 150
    begun = [arguments.get("begin") for engine in executions for _, arguments in engine.calls]
    assert begun.count(True) == 1


async def test_a_webhook_calls_for_a_look_before_its_time():
    world = World({1: "announced", 3: "delivered"})
    engine = await world.watch({"timer": "news.1"})
    (timer,) = engine.cancelled_timers
    assert timer.startswith("2026-01-01T00:15:00")
    assert looks(engine) == [1, 2, 3]


@pytest.mark.parametrize("during", ["look_up_parcel", "timer"])
async def test_a_cancel_ends_it(during):
    world = World({1: "announced"})
    await world.watch({during: "cancel"})
    assert (world.ended["state"], world.mailed[:1]) in (("Cancelled", ["announced"]), ("Cancelled", []))


async def test_a_deadline_ends_it_as_failed():
    world = World({1: "announced"}, deadline=5000.0)
    engine = await world.watch()
    assert (world.ended["state"], world.ended["error"]["type"]) == ("Failed", "DeadlineExceeded")
    assert sum(engine.pauses) == pytest.approx(5000, abs=1)
