"""However often and by whichever door a job arrives, it is one job, it runs once, and its effects happen once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.jobs_seen import PIECES, PRICE, fresh

STEPS = (
    "reserve_stock",
    "charge_payment",
    "confirm_order",
    "hand_over_order",
    "mail_confirmation",
    "record_sale",
    "end_job",
)


def assert_sold_once(jobs, id: str) -> None:
    assert jobs.ended(id)["status"] == "Completed"
    runs = jobs.runs()
    assert {step: runs[step] for step in STEPS} == dict.fromkeys(STEPS, 1)
    assert [len(jobs.asked(id, operation)) for operation in ("authorize", "charge", "refund")] == [1, 1, 0]
    assert jobs.balance(id) == PRICE
    assert jobs.left() == PIECES - 1
    assert len(jobs.mails(id)) == 1
    assert jobs.sandbox.mailbox()["duplicates"] == 0


def test_50_parallel_identical_submissions_are_one_order(jobs):
    id = fresh("crowd")
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: jobs.submit(id), range(50)))
    assert {answer.status_code for answer in answers} <= {200, 202}
    told = [answer.json() for answer in answers]
    assert {body["id"] for body in told} == {id}
    assert len({body["submittedAt"] for body in told}) == 1
    correlation_ids = {body["correlationId"] for body in told} | {
        answer.headers["x-correlation-id"] for answer in answers
    }
    assert len(correlation_ids) == 1
    jobs.shop.drain()
    assert_sold_once(jobs, id)


def test_a_repetition_while_the_job_runs_is_the_same_job(jobs):
    id = fresh("again")
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "throttle", "times": 1})
    first = jobs.submit(id)
    jobs.shop.drain()
    second = jobs.submit(id)
    assert (first.status_code, second.status_code) == (202, 200)
    assert (second.json()["status"], second.json()["progress"]["step"]) == ("Running", "charge_payment")
    assert second.json()["correlationId"] == first.json()["correlationId"]
    jobs.shop.advance(minutes=1)
    assert jobs.ended(id)["status"] == "Completed"
    assert jobs.runs()["reserve_stock"] == 1
    assert jobs.booked(id) == ["authorization", "charge"]


def test_a_repetition_after_the_end_runs_nothing(jobs):
    id = fresh("later")
    jobs.submit(id)
    jobs.shop.drain()
    before, runs = jobs.ended(id), jobs.runs()
    again = jobs.submit(id)
    assert (again.status_code, again.json()) == (200, before)
    jobs.shop.drain()
    assert jobs.runs() - runs == {"submit_job": 1}
    assert_sold_once(jobs, id)


def test_a_single_activity_repeated_after_its_end_runs_nothing(jobs):
    id, mail = fresh("later"), {"to": "ada@example.com", "subject": "s", "text": "t"}
    jobs.submit(id, mail, kind="mail")
    jobs.shop.drain()
    runs = jobs.runs()
    assert jobs.submit(id, mail, kind="mail").json() == jobs.ended(id, "mail")
    jobs.shop.drain()
    assert jobs.runs() - runs == {"submit_job": 1, "get_job": 1}


def test_a_repetition_after_a_failure_runs_nothing(jobs):
    id = fresh("declined")
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "decline", "times": 1})
    jobs.submit(id)
    jobs.shop.drain()
    assert jobs.submit(id).json()["status"] == "Failed"
    jobs.send(id)
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Failed"
    assert len(jobs.asked(id, "authorize")) == 1


def test_the_same_id_with_another_input_is_refused_while_the_job_runs_and_after(jobs):
    id = fresh("other")
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "throttle", "times": 1})
    jobs.submit(id)
    jobs.shop.drain()
    for _ in range(2):  # first while it waits to try again, then after its end
        answer = jobs.submit(id, jobs.order(id, quantity=2))
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        assert id in answer.json()["detail"]
        jobs.shop.advance(minutes=1)
    assert jobs.ended(id)["result"]["total"] == PRICE
    assert jobs.left() == PIECES - 1


def test_the_same_id_is_another_job_in_another_kind(jobs):
    id = fresh("shared")
    assert jobs.submit(id).status_code == 202
    assert jobs.submit(id, {"event": "shared"}, kind="analytics").status_code == 202
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == jobs.ended(id, "analytics")["status"] == "Completed"


@pytest.mark.parametrize("queues", [("jobs", "jobs"), ("jobs", "jobs-urgent")])
def test_the_same_message_twice_is_one_order(jobs, queues):
    id = fresh("twice")
    with jobs.closed_doors():
        for queue in queues:
            jobs.send(id, queue=queue)
    jobs.shop.drain()
    assert_sold_once(jobs, id)
    assert jobs.messages("jobs-poison") == jobs.messages("jobs-urgent-poison") == []


def test_by_http_and_by_queue_it_is_one_order(jobs):
    id = fresh("both")
    jobs.submit(id)
    jobs.send(id)
    jobs.shop.drain()
    assert_sold_once(jobs, id)


def test_a_message_with_a_taken_id_and_another_input_is_poison_at_once(jobs, bus):
    id = fresh("taken")
    jobs.submit(id)
    jobs.send(id, jobs.order(id, quantity=2))
    jobs.shop.drain()
    assert_sold_once(jobs, id)
    assert jobs.runs()["take_job"] == 1
    (letter,) = bus.dead()
    assert (letter.reason, letter.properties["jobId"]) == ("JobConflict", id)


def test_a_message_without_an_id_has_the_id_of_its_message(jobs):
    id = jobs.put(json.dumps({"kind": "order", "input": jobs.order(fresh("nameless"))}))
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Completed"


def test_effects_carry_the_key_of_instance_and_step(jobs):
    id = fresh("keys")
    jobs.submit(id)
    jobs.shop.drain()
    keys = [request["key"] for request in jobs.sandbox.requests(f"order-{id}")["requests"]]
    assert keys == [f"order-{id}/charge_payment/authorize", f"order-{id}/charge_payment/charge"]
