"""Delayed jobs, in real time: the Service Bus keeps the clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusMessage

from tests.acceptance.processes import wait_until
from tests.integration.jobs_seen import PIECES, fresh


def in_(**span: float) -> str:
    """A moment to come, as senders write it."""
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


def mail(id: str) -> dict:
    return {"to": f"{id}@example.com", "subject": "s", "text": "t"}


def submit(jobs, kind: str, id: str, input: dict, time: str):
    """POST a job, with a time whose `+` nobody has escaped."""
    url = f"/api/jobs/{kind}?notBefore={time}"
    return jobs.shop.post(url, json=input, headers={"Idempotency-Key": id})


def has_ended(jobs, kind: str, id: str) -> bool:
    answer = jobs.shop.get(f"/api/jobs/{kind}/{id}")
    return answer.status_code == 200 and answer.json()["completedAt"] is not None


def test_jobs_start_when_their_time_has_come_by_whatever_door(jobs, bus):
    order, event, *letters = (fresh(name) for name in ("order", "event", "jobs", "jobs-urgent", "bus"))
    time = in_(seconds=1)
    answer = submit(jobs, "order", order, jobs.order(order), time)
    assert (answer.status_code, answer.json()["status"]) == (202, "Pending")
    assert datetime.fromisoformat(answer.json()["notBefore"]) == datetime.fromisoformat(time)
    assert submit(jobs, "analytics", event, {"event": "seen"}, in_(seconds=1)).status_code == 202
    for id, queue in zip(letters, ("jobs", "jobs-urgent"), strict=False):
        jobs.send(id, mail(id), kind="mail", queue=queue, notBefore=in_(seconds=1))
    body = {"kind": "mail", "input": mail(letters[2]), "notBefore": in_(seconds=1)}
    bus.send("jobs", ServiceBusMessage(json.dumps(body), message_id=letters[2]))
    all_of_them = [("order", order), ("analytics", event), *(("mail", id) for id in letters)]

    wait_until(lambda: all(has_ended(jobs, kind, id) for kind, id in all_of_them), "their time has come", pause=0.1)
    jobs.shop.drain()
    for kind, id in all_of_them:
        status = jobs.ended(id, kind)
        started, submitted = (datetime.fromisoformat(status[name]) for name in ("startedAt", "submittedAt"))
        assert status["status"] == "Completed"
        assert status["startedAt"] >= status["notBefore"] > status["submittedAt"]
        assert status["waitSeconds"] < (started - submitted).total_seconds()
    assert [len(jobs.mails(id)) for id in letters] == [1, 1, 1]
    assert (jobs.booked(order), jobs.shop.failures) == (["authorization", "charge"], [])
    # Of a mail whose time had not come when its message was read, the message came back into the queue of its door.
    assert jobs.runs()["take_bus_job"] <= 6
    assert jobs.runs()["take_urgent_job"] in (1, 2)


def test_a_delayed_job_that_is_cancelled_never_runs(jobs, bus):
    order, letter = fresh("order"), fresh("letter")
    submit(jobs, "order", order, jobs.order(order), in_(hours=1))
    jobs.send(letter, mail(letter), kind="mail", notBefore=in_(hours=1))
    jobs.shop.drain()
    held_back = bus.peek("jobs")
    assert len(held_back) == 2 and bus.waiting("jobs") == 0
    # What comes too early starts nothing, and is held back once more.
    bus.send("jobs", *map(ServiceBusMessage, held_back))
    jobs.shop.drain()
    assert (len(bus.peek("jobs")), jobs.status(order)["status"]) == (4, "Pending")

    for kind, id in (("order", order), ("mail", letter)):
        assert jobs.shop.post(f"/api/jobs/{kind}/{id}/cancel").json()["status"] == "Cancelled"
    bus.send("jobs", *map(ServiceBusMessage, held_back))
    jobs.shop.drain()
    assert {jobs.ended(order)["status"], jobs.ended(letter, "mail")["status"]} == {"Cancelled"}
    assert (jobs.booked(order), jobs.mails(letter), jobs.left(), len(bus.peek("jobs"))) == ([], [], PIECES, 4)
    assert jobs.shop.failures == []
