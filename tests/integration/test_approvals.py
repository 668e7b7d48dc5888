"""A person's approval, by the virtual clock: asked, reminded, asked of the next one, decided, and too late."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import datetime, timedelta

import pytest

from tests.integration.jobs_seen import PIECES, PRICE, fresh
from tests.integration.questions_seen import ASKING, ESCALATION, FIRST, REMINDER, SECOND, Questions

MOMENT = 60
"""Seconds, between two moments at which something happens."""


@pytest.fixture
def open_asking(open_shop, jobs_of, monkeypatch):
    """Opens a shop that can ask, in which all of the app goes by the virtual clock."""

    def start(**settings):
        shop = open_shop(**{**ASKING, "ORDER_APPROVAL_LIMIT": str(PRICE), **settings})
        monkeypatch.setattr(sys.modules["jobs.clock"], "now", shop.app.clock.now)
        return jobs_of(shop)

    return start


@pytest.fixture
def jobs(open_asking):
    return open_asking()


@pytest.fixture
def questions(jobs) -> Questions:
    return Questions(jobs)


def test_reminded_escalated_and_decided_by_default(jobs, questions):
    id = questions.ask(question="Sell the shop?", details={"price": 12})
    other, lenient = questions.ask(), questions.ask(default="approve")
    jobs.shop.drain()
    assert (len(questions.mails(FIRST, id)), len(questions.mails(SECOND, id))) == (1, 0)
    first = questions.link(FIRST, id)
    assert questions.look(first).status_code == 200
    waiting = jobs.status(id, "approval")
    shown = waiting["status"], waiting["waitingFor"], waiting["progress"]
    assert shown == ("Waiting", "approval", {"step": "decision", "percent": 50})

    jobs.shop.advance(seconds=REMINDER - MOMENT)
    assert len(questions.mails(FIRST, id)) == 1
    jobs.shop.advance(seconds=2 * MOMENT)
    assert [mail["subject"].split(" (")[0] for mail in questions.mails(FIRST, id)] == [
        "Approval wanted",
        "Reminder: approval wanted",
    ]
    assert questions.link(FIRST, id) == first  # the same link

    jobs.shop.advance(seconds=ESCALATION - REMINDER)
    assert (len(questions.mails(FIRST, id)), len(questions.mails(SECOND, id))) == (2, 1)
    second = questions.link(SECOND, id)
    assert (questions.vote(first, "approve").status_code, questions.look(first).status_code) == (410, 410)
    assert questions.look(second).status_code == 200

    assert questions.vote(questions.link(SECOND, other), "approve", reason="yes").status_code == 200

    jobs.shop.advance(seconds=ESCALATION)
    assert (len(questions.mails(FIRST, id)), len(questions.mails(SECOND, id))) == (2, 2)
    assert [questions.result(other)[name] for name in ("decision", "by", "reason")] == ["approved", SECOND, "yes"]
    assert [questions.result(lenient)[name] for name in ("decision", "via")] == ["approved", "default"]
    result = questions.result(id)
    assert {**result, "at": None} == {
        "decision": "rejected",
        "by": None,
        "at": None,
        "via": "default",
        "reason": None,
    }
    for link in (first, second):
        assert (questions.vote(link, "approve").status_code, questions.look(link).status_code) == (410, 410)
    assert questions.decide(f"approval-{id}", "approve").status_code == 409
    assert questions.result(id) == result


def test_a_vote_is_recorded_and_stays(jobs, questions):
    id = questions.ask()
    jobs.shop.drain()
    link = questions.link(FIRST, id)
    voted = questions.vote(link, "approve", reason="all is\r\nwell")
    assert (voted.status_code, "Approved" in voted.text) == (200, True)
    jobs.shop.drain()  # without any time going by
    result = questions.result(id)
    assert {**result, "at": None} == {
        "decision": "approved",
        "by": FIRST,
        "at": None,
        "via": "link",
        "reason": "all is\nwell",
    }
    again = questions.vote(link, "reject")
    assert (again.status_code, FIRST in again.text, "approved" in again.text) == (409, True, True)
    seen = questions.look(link)
    assert (seen.status_code, "<form" in seen.text, "all is\nwell" in seen.text) == (200, False, True)
    jobs.shop.advance(days=9)
    assert questions.result(id) == result
    assert (len(questions.mails(FIRST, id)), len(questions.mails(SECOND, id))) == (1, 0)


def test_a_vote_of_which_nobody_was_told_is_found_at_the_next_timer(jobs, questions):
    id = questions.ask()
    jobs.shop.drain()
    approvals = sys.modules["jobs.approvals"]
    vote = approvals.decided("approve", by="Grace", at="2026-01-01T00:00:00Z", via="api")

    async def vote_and_die():
        await approvals.change(await approvals.get(f"approval-{id}"), lambda _: vote)

    jobs.shop.call(vote_and_die)
    jobs.shop.advance(seconds=REMINDER - MOMENT)
    assert jobs.status(id, "approval")["status"] == "Waiting"
    jobs.shop.advance(seconds=2 * MOMENT)
    assert (questions.result(id)["decision"], questions.result(id)["by"]) == ("approved", "Grace")
    assert len(questions.mails(FIRST, id)) == 1


def test_a_cancelled_question_is_withdrawn_whenever_the_cancel_comes(jobs, questions):
    """Also while it is opened, when nothing waits for the answer yet."""
    ids = [questions.ask() for _ in range(6)]
    for id in ids:
        assert jobs.shop.post(f"/api/jobs/approval/{id}/cancel").status_code == 202
    jobs.shop.drain()  # without any time going by
    assert {jobs.ended(id, "approval")["status"] for id in ids} == {"Cancelled"}
    states = jobs.shop.get("/api/approvals", params={"top": "1000"}).json()["approvals"]
    assert {each["state"] for each in states if each["job"]["id"] in ids} <= {"Withdrawn"}


def test_a_mail_server_that_is_away_stops_neither_the_clock_nor_the_votes(jobs, questions):
    jobs.sandbox.fault({"when": {"recipient": FIRST}, "fault": "decline"})
    jobs.sandbox.fault({"when": {"recipient": SECOND}, "fault": "error", "times": 1000})
    id = questions.ask()
    jobs.shop.advance(seconds=ESCALATION + MOMENT)
    assert questions.decide(f"approval-{id}", "approve").status_code == 200
    jobs.shop.drain()  # the mail that waits to be tried again does not keep the vote from being heard
    assert (questions.result(id)["via"], questions.result(id)["by"]) == ("api", "Grace")


def test_a_job_that_waits_for_nine_days_is_not_late(open_asking):
    jobs = open_asking(APPROVAL_ESCALATION=str(10 * 86_400))
    questions = Questions(jobs)

    def late() -> int:
        """All jobs of other tests that never ended are, and there are no more of them."""
        swept = jobs.shop.call(importlib.import_module("jobs.stragglers").sweep, timedelta(0), None)
        assert swept.is_over
        group = swept.groups.get("overdue:approval")
        return group.count if group else 0

    jobs.shop.advance(days=30)
    before = late()
    id = questions.ask()
    jobs.shop.advance(days=9)
    assert late() == before
    [row] = jobs.rows("jobs", f"PartitionKey eq 'approval' and RowKey eq '{id}'")
    waits = datetime.fromisoformat(row["overdueAt"]) - datetime.fromisoformat(row["startedAt"])
    assert timedelta(days=20) < waits < timedelta(days=20, hours=2)
    questions.decide(f"approval-{id}", "approve")
    jobs.shop.drain()
    [row] = jobs.rows("jobs", f"PartitionKey eq 'approval' and RowKey eq '{id}'")
    had = datetime.fromisoformat(row["overdueAt"]) - datetime.fromisoformat(row["startedAt"])
    assert (row["waitingFor"], timedelta(days=9) < had < timedelta(days=9, hours=2)) == ("", True)


def order_over_the_limit(jobs) -> str:
    id = fresh("dear")
    jobs.submit(id, jobs.order(id, quantity=2))
    jobs.shop.drain()
    assert (jobs.left(), jobs.balance(id)) == (PIECES - 2, 0)
    return id


def test_an_order_over_the_limit_is_sold_if_it_is_approved_and_else_gives_its_pieces_back(jobs, questions):
    rejected = order_over_the_limit(jobs)
    questions.decide(f"order-{rejected}", "reject", by="Grace", reason="too dear")
    jobs.shop.drain()
    done = jobs.ended(rejected)
    assert (done["status"], done["error"]["type"]) == ("Failed", "ApprovalRejected")
    assert "Grace" not in json.dumps(done) and "too dear" not in json.dumps(done)
    listed = jobs.shop.get("/api/approvals", params={"state": "Rejected", "top": "1000"}).json()["approvals"]
    assert [(each["decidedBy"], each["reason"]) for each in listed if each["job"]["id"] == rejected] == [
        ("Grace", "too dear")
    ]
    assert (jobs.left(), jobs.booked(rejected), jobs.mails(rejected)) == (PIECES, [], [])

    id = order_over_the_limit(jobs)
    [mail] = questions.mails(FIRST, id, "order")
    assert "25.00 EUR" in mail["text"] and f"2 x {jobs.sku}" in mail["text"] and "Ada" not in mail["text"]
    questions.vote(questions.link(FIRST, id, "order"), "approve")
    jobs.shop.drain()
    done = jobs.ended(id)
    assert (done["status"], jobs.balance(id), jobs.left()) == ("Completed", 2 * PRICE, PIECES - 2)
    assert set(done["result"]) == {"lines", "total", "currency", "charge"}


def test_an_order_that_is_cancelled_while_it_waits(jobs, questions):
    id = order_over_the_limit(jobs)
    link = questions.link(FIRST, id, "order")
    assert jobs.shop.post(f"/api/jobs/order/{id}/cancel").status_code == 202
    jobs.shop.drain()  # without any time going by
    assert (jobs.ended(id)["status"], jobs.left(), jobs.booked(id)) == ("Cancelled", PIECES, [])
    assert (questions.vote(link, "approve").status_code, questions.look(link).status_code) == (410, 410)
    assert questions.decide(f"order-{id}", "approve").status_code == 410
    assert jobs.shop.post(f"/api/jobs/order/{id}/cancel").status_code == 409


def test_a_question_that_could_not_be_asked_is_asked_by_a_replay(open_asking, service_bus, monkeypatch):
    jobs = open_asking(APPROVERS="")
    id = Questions(jobs).ask()
    jobs.shop.drain()
    assert jobs.ended(id, "approval")["error"]["type"] == "SettingMissing"
    monkeypatch.setenv("APPROVERS", FIRST)
    sys.modules["jobs.settings"].settings.cache_clear()
    letters = jobs.shop.get("/api/dead-letters").json()["deadLetters"]
    [letter] = [letter["id"] for letter in letters if letter["jobId"] == id]
    assert jobs.shop.post(f"/api/dead-letters/{letter}/replay").status_code == 202
    jobs.shop.drain()
    questions = Questions(jobs)
    assert questions.vote(questions.link(FIRST, id), "approve").status_code == 200
    jobs.shop.drain()
    assert questions.result(id)["decision"] == "approved"


def test_without_whom_to_ask_or_a_key_the_order_fails_and_nothing_stays(open_asking, monkeypatch):
    jobs = open_asking()
    for missing in ("APPROVERS", "SIGNING_KEY"):
        with monkeypatch.context() as unset:
            unset.setenv(missing, "")
            sys.modules["jobs.settings"].settings.cache_clear()
            id = fresh("unset")
            jobs.submit(id, jobs.order(id, quantity=2))
            jobs.shop.drain()
        done = jobs.ended(id)
        assert (done["status"], done["error"]["type"]) == ("Failed", "SettingMissing")
        assert missing in done["error"]["message"] and "openCompensations" not in done["error"]
        assert (jobs.left(), jobs.booked(id)) == (PIECES, [])
