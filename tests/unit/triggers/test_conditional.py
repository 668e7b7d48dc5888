"""A status is sent only to who does not have it, and told as soon as it is another."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import azure.functions as func
import pytest

from jobs import ledger, status
from tests.unit.jobs.test_ledger import job
from tests.unit.triggers.doors import ask, content
from triggers.conditional import is_seen

pytestmark = pytest.mark.anyio


@pytest.fixture
async def running(storage, durable) -> ledger.Entry:
    """An order that runs."""
    submitted, _ = await ledger.submit(job("order", uuid4().hex), "digest")
    await ledger.begin(submitted.job, runner="one")
    durable.statuses[submitted.job.instance_id] = {"runtimeStatus": "Running"}
    return await ledger.get("order", submitted.job.id)


async def look(durable, entry, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask("get_job", durable, headers=named, kind="order", id=entry.job.id)


def at_step(durable, entry, step: str) -> None:
    durable.statuses[entry.job.instance_id]["customStatus"] = {"step": step, "percent": 20}


async def end(entry) -> None:
    await ledger.end(entry.job, None, "Completed", result={"files": [{"blob": "reports/a.csv"}]})


async def test_who_has_a_status_is_sent_it_when_it_changes(durable, running):
    first = await look(durable, running)
    tag = first.headers["ETag"]
    assert tag.startswith('W/"') and first.headers["Cache-Control"] == "no-cache"
    same = await look(durable, running, If_None_Match=f'"other", {tag}')
    assert (same.status_code, same.get_body(), same.headers["ETag"]) == (304, b"", tag)
    at_step(durable, running, "charge_payment")
    changed = await look(durable, running, If_None_Match=tag)
    assert (changed.status_code, content(changed)["progress"]["step"]) == (200, "charge_payment")
    assert changed.headers["ETag"] != tag


async def test_a_link_that_is_new_each_time_is_no_change(durable, running, monkeypatch):
    links = iter(range(9))

    async def link(*_):
        return f"https://example.com/{next(links)}"

    monkeypatch.setattr("jobs.results.link", link)
    await end(running)
    first, second = [await look(durable, running) for _ in range(2)]
    urls = {content(each)["result"]["files"][0]["url"] for each in (first, second)}
    assert (len(urls), first.headers["ETag"]) == (2, second.headers["ETag"])


@pytest.mark.parametrize(
    ("given", "is_match"),
    [('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ("*", True), ('"b"', False), ("a", False), ("", False)],
)
async def test_what_the_header_may_say(given, is_match):
    request = func.HttpRequest("GET", "http://localhost", headers={"If-None-Match": given}, body=b"")
    assert is_seen(request, "a") is is_match


async def test_who_waits_with_a_status_hears_of_the_next_step(durable, running):
    tag = (await look(durable, running)).headers["ETag"]
    waiting = asyncio.create_task(look(durable, running, If_None_Match=tag, Prefer="wait=30"))
    await asyncio.sleep(0)
    at_step(durable, running, "confirm_order")
    answer = await asyncio.wait_for(waiting, 10)
    assert (answer.status_code, content(answer)["progress"]["step"]) == (200, "confirm_order")
    assert answer.headers["Preference-Applied"] == "wait=30"


async def test_who_waits_without_one_hears_of_the_end_only(durable, running):
    waiting = asyncio.create_task(look(durable, running, Prefer="wait=30"))
    await asyncio.sleep(0)
    at_step(durable, running, "confirm_order")
    await end(running)
    assert content(await asyncio.wait_for(waiting, 10))["status"] == "Completed"


@pytest.mark.parametrize("seconds", ["0", "1"])
async def test_when_the_time_is_over_nothing_has_changed(durable, running, seconds):
    tag = (await look(durable, running)).headers["ETag"]
    answer = await look(durable, running, If_None_Match=tag, Prefer=f"wait={seconds}")
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (304, f"wait={seconds}")


async def test_an_end_that_is_known_is_not_waited_for(durable, running):
    await end(running)
    tag = (await look(durable, running)).headers["ETag"]
    answer = await asyncio.wait_for(look(durable, running, If_None_Match=tag, Prefer="wait=60"), 10)
    assert answer.status_code == 304


async def test_it_waits_for_a_person_until_it_goes_on(durable, running):
    custom = {"step": "decision", "waitingFor": "approval", "cancellable": True}
    durable.statuses[running.job.instance_id]["customStatus"] = custom
    shown = await status.read("order", running.job.id, durable)
    assert (shown["status"], shown["waitingFor"], "waitingFor" in shown["progress"]) == ("Waiting", "approval", False)
    await end(running)
    shown = await status.read("order", running.job.id, durable)
    assert (shown["status"], "waitingFor" in shown) == ("Completed", False)


async def test_odd_steps_are_refused(durable, running):
    answer = await ask("get_job", durable, params={"steps": "1"}, kind="order", id=running.job.id)
    assert answer.status_code == 400
