"""Approvals on real storage: one decision a question, whoever votes at the same time and wherever a process dies."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from azure.data.tables.aio import TableClient

from activities import approvals as steps
from jobs import approval_links, approval_votes, approvals, clock, ledger, old_rows
from jobs.ages import ages
from jobs.approval_votes import Vote, VoteByName
from jobs.call import Call
from jobs.clients import clients
from jobs.erasing import Eraser
from jobs.errors import (
    ApprovalDecidedError,
    ApprovalNotFoundError,
    ApprovalOverError,
    LinkForgedError,
    SettingMissingError,
)
from jobs.settings import settings
from tests.unit.asking import QUESTION, SETTINGS, RunningJobs, link, opened, running
from tests.unit.jobs.crashes import dies

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage", "asking")]

APPROVE, REJECT = Vote(decision="approve"), Vote(decision="reject")


@pytest.fixture
def durable() -> RunningJobs:
    return RunningJobs()


@pytest.fixture
def asking(world, monkeypatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


def step(of: Call, **input) -> Call:
    return Call(of.job, "step", input)


async def state(of: Call) -> approvals.Approval:
    return await approvals.get(of.job.instance_id)


async def test_it_is_opened_once_and_keeps_its_plan(monkeypatch):
    made = await running()
    plan = await steps.open_question(made)
    monkeypatch.setenv("APPROVAL_ESCALATION", "1")
    settings.cache_clear()
    assert await steps.open_question(made) == plan
    remind, end = (datetime.fromisoformat(plan["rounds"][1][name]) for name in ("remindAt", "endsAt"))
    assert (end - remind, len(plan["rounds"]), plan["wake"]) == (timedelta(days=2), 2, "decided.0")
    entry = await ledger.get("order", made.job.id)
    assert entry.waiting_for == "approval"
    assert datetime.fromisoformat(entry.overdue_at) == end + timedelta(hours=1)


async def test_the_largest_details_of_an_input_have_room():
    details = {f"detail-{number}": "\N{PACKAGE}" * 200 for number in range(20)}
    made = await opened(details=details)
    assert (await state(made)).details == details


async def test_without_a_reminder_within_the_round_there_is_none(monkeypatch):
    monkeypatch.setenv("APPROVAL_REMINDER", str(3 * 86_400))
    settings.cache_clear()
    plan = await steps.open_question(await running())
    assert [each["remindAt"] for each in plan["rounds"]] == [None, None]


@pytest.mark.parametrize(
    ("name", "value"), [("APPROVERS", ""), ("SIGNING_KEY", ""), ("SIGNING_KEY", "short"), ("SMTP_HOST", "")]
)
async def test_it_is_not_opened_when_nobody_could_be_asked(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    settings.cache_clear()
    made = await running()
    with pytest.raises(SettingMissingError, match=name):
        await steps.open_question(made)
    with pytest.raises(ApprovalNotFoundError):
        await state(made)


async def test_of_many_votes_at_once_one_counts(durable):
    made = await opened()
    votes = [approval_votes.vote_by_link(link(made.job.instance_id), each, durable) for each in (APPROVE, REJECT) * 10]
    answers = await asyncio.gather(*votes, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, ApprovalDecidedError)]
    assert len(refused) == 19
    assert set(durable.events) == {(f"{made.job.instance_id}~decision", "decided.0")}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_vote_whose_process_dies_counts_once_or_not_at_all(crashes, durable, after):
    """Also when the voter clicks again, by which the job is told at the latest."""
    for number in range(1, 10):
        made = await opened()
        token = link(made.job.instance_id)
        crashes.die_at(number, after=after)
        died = await dies(lambda token=token: approval_votes.vote_by_link(token, APPROVE, durable))
        crashes.restart()
        if not died:
            break
        with suppress(ApprovalDecidedError):
            await approval_votes.vote_by_link(token, APPROVE, durable)
        assert durable.events.count((f"{made.job.instance_id}~decision", "decided.0")) == 1
        found = (await steps.check(step(made, wake="decided.0")))["decision"]
        assert (found["decision"], found["by"]) == ("approved", "a@nightshift.example")
        assert (await steps.remind(step(made, round=0)))["decision"] == found
    assert number > 2


async def test_an_event_that_cannot_be_raised_leaves_the_vote_valid(durable, monkeypatch):
    async def fail(*_):
        raise Exception("the host is away")

    monkeypatch.setattr(durable, "raise_event", fail)
    made = await opened()
    assert (await approval_votes.vote_by_link(link(made.job.instance_id), APPROVE, durable)).state == "Approved"
    assert (await steps.ask(step(made, round=1)))["decision"]["decision"] == "approved"


STEPS = {
    "open": (steps.open_question, QUESTION),
    "ask": (steps.ask, {"round": 1}),
    "check": (steps.check, {"wake": "decided.0"}),
    "default": (steps.default, {}),
    "withdraw": (steps.withdraw, {}),
}


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_whose_process_dies_is_done_again(crashes, name):
    act, input = STEPS[name]
    once = await opened()
    expected = await act(step(once, **input))
    for number in range(1, 12):
        made = await running() if name == "open" else await opened()
        crashes.die_at(number, after=True)
        died = await dies(lambda made=made: act(step(made, **input)))
        crashes.restart()
        if not died:
            break
        again = await act(step(made, **input))
        if name == "open":
            again, expected = again["wake"], "decided.0"
        if name == "default":
            again["decision"]["at"] = expected["decision"]["at"]
        assert again == expected
        row, other = await state(made), await state(once)
        assert (row.state, row.round, row.wake) == (other.state, other.round, other.wake)
    assert number > 1


async def test_a_change_whose_answer_was_lost_is_known_again(monkeypatch, durable):
    made = await opened()
    update = TableClient.update_entity

    async def twice(self, *arguments, **options):
        await update(self, *arguments, **options)
        return await update(self, *arguments, **options)

    monkeypatch.setattr(TableClient, "update_entity", twice)
    voted = await approval_votes.vote_by_link(link(made.job.instance_id), APPROVE, durable)
    assert (voted.state, voted.tag) == ("Approved", (await state(made)).tag)


async def test_each_false_alarm_is_waited_out_under_a_new_name():
    made = await opened()
    assert await steps.check(step(made, wake="decided.0")) == {"decision": None, "wake": "decided.1"}
    assert await steps.check(step(made, wake="decided.0")) == {"decision": None, "wake": "decided.1"}
    assert await steps.check(step(made, wake="decided.1")) == {"decision": None, "wake": "decided.2"}


async def test_a_vote_calls_by_the_name_that_is_waited_for_at_present(durable):
    made = await opened()
    await steps.check(step(made, wake="decided.0"))
    await approval_votes.vote_by_link(link(made.job.instance_id), REJECT, durable)
    assert durable.events == [(f"{made.job.instance_id}~decision", "decided.1")]


async def test_a_vote_that_a_false_alarm_overtakes_calls_by_the_new_name(durable):
    made = await opened()
    before = await state(made)
    await steps.check(step(made, wake="decided.0"))
    voted = await approvals.change(before, lambda _: approvals.decided("approve", by="x", at="now", via="api"))
    assert (voted.wake, voted.state) == ("decided.1", "Approved")


async def test_a_vote_that_an_escalation_overtakes_comes_too_late(durable, monkeypatch):
    made = await opened()
    change = approvals.change

    async def change_late(found, changes_of):
        monkeypatch.setattr(approvals, "change", change)
        await steps.ask(step(made, round=1))
        return await change(await state(made), changes_of)

    monkeypatch.setattr(approvals, "change", change_late)
    with pytest.raises(ApprovalOverError):
        await approval_votes.vote_by_link(link(made.job.instance_id), APPROVE, durable)
    assert ((await state(made)).state, (await state(made)).round) == ("Open", 1)


async def test_links_end_with_their_round(durable):
    made = await opened()
    await steps.ask(step(made, round=1))
    with pytest.raises(ApprovalOverError, match="somebody else"):
        await approval_votes.vote_by_link(link(made.job.instance_id, 0), APPROVE, durable)
    assert (
        await approval_votes.vote_by_link(link(made.job.instance_id, 1), REJECT, durable)
    ).decided_by == "b@nightshift.example"


async def test_a_straggling_step_of_an_earlier_round_mails_nobody(world):
    made = await opened()
    await steps.ask(step(made, round=1))
    await steps.ask(step(made, round=0))
    assert [mail["to"] for mail in world.mailbox()["messages"]] == ["b@nightshift.example"]
    assert (await state(made)).round == 1


async def test_links_expire_by_the_app_s_clock(monkeypatch):
    made = await opened()
    token = link(made.job.instance_id, lasts=60)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=61))
    with pytest.raises(ApprovalOverError, match="worked until"):
        await approval_votes.look(token)


@pytest.mark.parametrize("token", ["", "x", "a.b", "WzFd.", "\x00", "é", "\udcff", "A" * 5000])
async def test_what_is_no_link_is_refused(token):
    with pytest.raises(LinkForgedError):
        approval_links.read(token)


async def test_a_link_that_another_key_has_signed_is_refused(monkeypatch):
    token = link((await opened()).job.instance_id)
    monkeypatch.setenv("SIGNING_KEY", "another key altogether")
    settings.cache_clear()
    with pytest.raises(LinkForgedError):
        approval_links.read(token)


async def test_by_name_the_api_decides_until_the_question_is_over(durable, monkeypatch):
    made, late = await opened(), await opened()
    vote = VoteByName(decision="reject", by="Grace", reason="no")
    voted = await approval_votes.vote_by_name(made.job.instance_id, vote, durable)
    assert (voted.state, voted.decided_by, voted.via, voted.reason) == ("Rejected", "Grace", "api", "no")
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=7))
    with pytest.raises(ApprovalOverError):
        await approval_votes.vote_by_name(late.job.instance_id, vote, durable)
    with pytest.raises(ApprovalDecidedError, match="Grace"):
        await approval_votes.vote_by_name(made.job.instance_id, vote, durable)


@pytest.mark.parametrize("id", ["", "order-", "order-nobody", "nothing-x", "/"])
async def test_there_is_no_such_approval(id):
    with pytest.raises(ApprovalNotFoundError):
        await approvals.get(id)


async def test_a_job_that_was_ended_by_an_operator_takes_no_vote(durable):
    made = await opened()
    durable.statuses[made.job.instance_id] = {"runtimeStatus": "Terminated"}
    with pytest.raises(ApprovalOverError):
        await approval_votes.vote_by_link(link(made.job.instance_id), APPROVE, durable)


async def test_a_question_that_was_withdrawn_before_it_was_asked_is_not_asked(world):
    made = await running()
    await steps.withdraw(made)
    plan = await steps.open_question(made)
    assert plan["rounds"] == []
    assert (await steps.default(step(made)))["decision"]["decision"] == "withdrawn"
    assert world.mailbox()["messages"] == []


@pytest.mark.parametrize("is_withdrawn", [False, True])
async def test_what_an_earlier_job_of_its_id_was_answered_is_no_answer(durable, world, is_withdrawn):
    """The row of the job in the ledger goes before that of its question."""
    earlier = await opened()
    await steps.ask(step(earlier, round=0))
    if is_withdrawn:
        await steps.withdraw(earlier)
    else:
        await approval_votes.vote_by_link(link(earlier.job.instance_id), APPROVE, durable)
    later = replace(earlier, job=replace(earlier.job, submitted_at=ledger.now()))
    assert len((await steps.open_question(later))["rounds"]) == 2
    for _ in range(2):
        assert (await steps.ask(step(later, round=0)))["decision"] is None
    box = world.mailbox()
    assert (len(box["messages"]), box["duplicates"]) == (2, 1)
    await approval_votes.vote_by_link(link(later.job.instance_id), REJECT, durable)
    assert (await steps.open_question(later))["wake"] == "decided.0"
    assert (await state(later)).state == "Rejected"


async def test_a_decision_outlasts_the_undoing_of_its_job(durable):
    made = await opened()
    await approval_votes.vote_by_link(link(made.job.instance_id), APPROVE, durable)
    await steps.withdraw(made)
    assert (await state(made)).state == "Approved"
    # Whoever cancels the job tells it, since the call of the vote may have been lost.
    assert (await approvals.withdraw(made.job.instance_id)).wake == "decided.0"


async def test_retention_erases_what_is_past_its_age(monkeypatch):
    made = await opened()
    now = clock.now()
    for days, stays in ((6 + 89, True), (6 + 91, False)):
        monkeypatch.setattr(clock, "now", lambda days=days: now + timedelta(days=days))
        await old_rows.erase("approvals", Eraser(dry_run=False), ages(), None)
        found, _ = await approvals.find(None, 1000)
        assert (made.job.instance_id in {each.id for each in found}) == stays


async def test_the_list_names_first_what_is_over_first():
    first, second = await opened(), await opened()
    mine = {first.job.instance_id, second.job.instance_id}
    found = [each.id for each in (await approvals.find("Open", 1000))[0] if each.id in mine]
    assert found == [first.job.instance_id, second.job.instance_id]
    assert len((await approvals.find("Open", 1))[0]) == 1
    assert mine <= {each.id for each in (await approvals.find(None, 1000))[0]}


async def test_a_damaged_one_costs_only_itself_and_is_named():
    good, bad = await opened(), await opened()
    keys = {"PartitionKey": bad.job.kind, "RowKey": bad.job.instance_id}
    await clients().table("approvals").update_entity({**keys, "rounds": "{"})
    found, damaged = await approvals.find("Open", 1000)
    assert good.job.instance_id in {each.id for each in found}
    assert bad.job.instance_id in damaged
    await clients().table("approvals").delete_entity(*keys.values())
