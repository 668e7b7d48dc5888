"""Cancelling: a job stops between two steps and undoes what it did, unless the parcel is on its way."""

from __future__ import annotations

import pytest

from tests.acceptance.processes import wait_until
from tests.integration.jobs_seen import PIECES, PRICE, fresh


def cancel(jobs, id: str, kind: str = "order"):
    return jobs.shop.post(f"/api/jobs/{kind}/{id}/cancel")


def assert_cancelled(jobs, id: str) -> None:
    done = jobs.ended(id)
    assert done["status"] == "Cancelled"
    assert done["completedAt"] and "error" not in done and "result" not in done
    assert jobs.left() == PIECES
    assert jobs.balance(id) == 0
    assert jobs.mails(id) == []


def waiting_order(jobs, operation: str) -> str:
    """An order that waits for ten minutes until it may ask the gateway again."""
    id = fresh("cancel")
    jobs.sandbox.fault({"when": {"customer": id, "operation": operation}, "fault": "throttle", "retryAfter": 600})
    jobs.submit(id)
    jobs.shop.drain()
    assert jobs.status(id)["status"] == "Running"
    return id


@pytest.mark.parametrize(
    ("operation", "booked"), [("authorize", []), ("charge", ["authorization", "void"])], ids=["authorize", "charge"]
)
def test_in_a_pause_between_two_attempts(jobs, operation, booked):
    id = waiting_order(jobs, operation)
    answer = cancel(jobs, id)
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/jobs/order/{id}")
    jobs.shop.drain()  # without any time going by
    assert_cancelled(jobs, id)
    assert jobs.booked(id) == booked
    jobs.shop.advance(hours=1)
    assert_cancelled(jobs, id)
    assert len(jobs.asked(id, operation)) == 1


def test_during_a_slow_charge(jobs):
    """The charge on its way is not cut short, since nobody would know what became of it. It is given back."""
    id = fresh("cancel")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "charge"}, "fault": "slow", "delay": 0.5})
    jobs.submit(id)
    wait_until(lambda: jobs.asked(id, "charge"), "the charge is on its way")
    assert cancel(jobs, id).status_code == 202
    jobs.shop.drain()
    assert_cancelled(jobs, id)
    assert jobs.booked(id) == ["authorization", "charge", "refund"]
    assert jobs.runs()["confirm_order"] == 0


def test_twice_is_once(jobs):
    id = waiting_order(jobs, "charge")
    assert cancel(jobs, id).status_code == 202
    assert cancel(jobs, id).status_code in (202, 409)  # by now it may be undoing
    jobs.shop.drain()
    assert_cancelled(jobs, id)
    assert jobs.runs()["release_stock"] == jobs.runs()["refund_payment"] == jobs.runs()["end_job"] == 1
    again = cancel(jobs, id)
    assert again.status_code == 409 and "Cancelled" in again.json()["detail"]


def test_after_the_parcel_was_handed_over_it_is_too_late(jobs):
    id = fresh("gone")
    jobs.sandbox.fault({"when": {"recipient": f"{id}@example.com"}, "fault": "error", "times": 1})
    jobs.submit(id)
    jobs.shop.drain()
    assert jobs.status(id)["progress"]["step"] == "mail_confirmation"  # the mail waits to be tried again
    answer = cancel(jobs, id)
    assert (answer.status_code, answer.json()["title"]) == (409, "Too late")
    assert "mail_confirmation" in answer.json()["detail"]
    jobs.shop.advance(minutes=1)
    assert jobs.ended(id)["status"] == "Completed"
    assert (jobs.balance(id), jobs.left(), len(jobs.mails(id))) == (PRICE, PIECES - 1, 1)


def test_while_what_was_done_is_undone_it_is_too_late(jobs):
    id = fresh("undoing")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "charge"}, "fault": "decline"})
    jobs.sandbox.fault({"when": {"customer": id, "operation": "void"}, "fault": "error", "times": 1})
    jobs.submit(id)
    jobs.shop.drain()
    assert jobs.status(id)["progress"]["step"] == "refund_payment"
    assert cancel(jobs, id).status_code == 409
    jobs.shop.advance(minutes=1)
    assert jobs.ended(id)["error"]["type"] == "CardDeclined"
    assert (jobs.balance(id), jobs.left()) == (0, PIECES)


def test_after_the_end_it_is_too_late(jobs):
    id = fresh("done")
    jobs.submit(id)
    jobs.shop.drain()
    answer = cancel(jobs, id)
    assert answer.status_code == 409 and "Completed" in answer.json()["detail"]
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Completed"
    assert jobs.booked(id) == ["authorization", "charge"]


def test_an_unknown_job_is_not_found(shop):
    for target in ("order/nobody", "order/-", "no-such-kind/nobody"):
        answer = shop.post(f"/api/jobs/{target}/cancel")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), target


def test_a_cancelled_order_that_cannot_be_undone_is_failed(jobs):
    id = fresh("stuck")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "refund"}, "fault": "decline"})
    jobs.sandbox.fault({"when": {"customer": id, "operation": "charge"}, "fault": "drop_after"})
    jobs.submit(id)
    jobs.shop.drain()
    cancel(jobs, id)
    jobs.shop.advance(minutes=10)
    done = jobs.ended(id)
    assert (done["status"], done["error"]["type"]) == ("Failed", "JobCancelled")
    assert done["error"]["openCompensations"] == ["refund_payment"]
    assert jobs.left() == PIECES


def test_a_single_activity_can_be_cancelled_before_it_begins(jobs):
    id = fresh("mail")
    with jobs.closed_doors():
        jobs.submit(id, {"to": f"{id}@example.com", "subject": "s", "text": "t"}, kind="mail")
        assert cancel(jobs, id, "mail").status_code == 202
    jobs.shop.drain()
    assert jobs.ended(id, "mail")["status"] == "Cancelled"
    assert jobs.mails(id) == []
    assert cancel(jobs, id, "mail").status_code == 409
