"""Retention goes through its parts: each page of each, whatever becomes of another, and no more than a night takes."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from activities import closing
from activities.retention import PARTS
from jobs import intake, ledger
from jobs.call import outcome
from jobs.catalog import KINDS
from jobs.errors import PermanentError
from jobs.job import Envelope, parse
from orchestrators import retention
from tests.unit.orchestrators.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bus")]


class PartError(PermanentError):
    """One part cannot be cleaned up."""


class Night:
    """A retention job of parts that have so many pages, each with one thing to erase and one that stays."""

    def __init__(self, durable) -> None:
        self.durable = durable
        self.pages = dict.fromkeys(PARTS, 1)
        self.also: list[str] = []
        self.failing: set[str] = set()
        self.seen: list[tuple[str, int | None, bool]] = []

    async def run(self, **input: bool) -> ledger.Entry:
        id = uuid4().hex
        job = parse(Envelope(kind="retention", id=id, input=input))
        await intake.submit(job, self.durable)
        works = {
            "erase_old": lambda call: outcome(self._erase, call),
            "end_job": lambda call: outcome(closing.end, call),
        }
        self.engine = Engine(retention.clean_up, self.durable.started[f"retention-{id}"], works)
        await self.engine.run(f"retention-{id}")
        return await ledger.get("retention", id)

    async def _erase(self, call):
        part, number = call.input["part"], call.input["continuation"] or 1
        self.seen.append((part, call.input["continuation"], call.input["dryRun"]))
        if part in self.failing:
            raise PartError("it does not go")
        more = number < self.pages[part]
        page = {"counts": {"things": 1}, "kept": {"letters": 1}, "next": number + 1 if more else None}
        return page | ({"also": self.also} if self.also else {})


@pytest.fixture
def night(durable) -> Night:
    return Night(durable)


async def test_every_page_of_every_part_is_counted(night):
    night.pages["jobs"] = 3
    entry = await night.run(dryRun=True)
    count = len(PARTS) + 2
    expected = {"dryRun": True, "counts": {"things": count}, "kept": {"letters": count}, "unfinished": []}
    assert (entry.state, entry.result) == ("Completed", expected)
    assert [seen for seen in night.seen if seen[0] == "jobs"] == [("jobs", n, True) for n in (None, 2, 3)]
    assert night.engine.statuses[-1]["percent"] < 100


async def test_a_part_that_came_later_is_cleaned_up_by_nights_that_began_later(night):
    night.also = ["pictures"]
    night.pages["pictures"] = 2
    assert (await night.run()).result["counts"] == {"things": len(PARTS) + 2}
    assert night.seen[-2:] == [("pictures", None, False), ("pictures", 2, False)]


async def test_a_part_that_fails_does_not_keep_the_others(night):
    night.failing = {"bodies"}
    entry = await night.run()
    assert (entry.state, entry.error["type"]) == ("Failed", "Part")
    assert {part for part, _, _ in night.seen} == set(PARTS)


async def test_what_is_too_much_for_a_night_is_left_for_the_next(night, monkeypatch):
    monkeypatch.setattr(retention, "MOST_CALLS", 4)
    night.pages["jobs"] = 5
    entry = await night.run()
    assert (entry.state, entry.result["unfinished"]) == ("Completed", ["jobs"])
    assert len([seen for seen in night.seen if seen[0] == "jobs"]) == 4


async def test_nothing_is_begun_when_the_night_is_over(night, monkeypatch):
    monkeypatch.setattr(retention, "NIGHT", timedelta(hours=1))
    original = night._erase

    async def slowly(call):
        night.engine.now += timedelta(minutes=25)
        return await original(call)

    night._erase = slowly
    night.pages["jobs"] = 50
    entry = await night.run()
    assert (entry.state, entry.result["unfinished"]) == ("Completed", list(PARTS[1:]))
    assert night.seen == [(PARTS[0], None, False), ("jobs", None, False), ("jobs", 2, False)]
    assert KINDS["retention"].deadline >= timedelta(hours=6), "a night ends before its job is too late"


async def test_it_can_be_cancelled_between_two_pages(night):
    night.pages["jobs"] = 5
    original = night._erase

    async def cancelled(call):
        if call.input["continuation"] == 2:
            night.engine.events = {"erase_old": "cancel"}
        return await original(call)

    night._erase = cancelled
    assert (await night.run()).state == "Cancelled"
    assert ("jobs", 5, False) not in night.seen
