"""Delayed jobs, in real time: the Service Bus keeps the clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusMessage

from tests.acceptance.processes import wait_until
from tests.integration.jobs_seen import PIECES, fresh

DELAY = timedelta(seconds=2)
"""Time enough to hand all in and to cancel some."""


def mail(id: str) -> dict:
    return {"to": f"{id}@example.com", "subject": "s", "text": "t"}


def test_jobs_start_when_their_time_has_come_and_never_when_they_were_cancelled(jobs, bus):
    time = (datetime.now(UTC) + DELAY).isoformat()
    order, event, cancelled, withdrawn = (fresh(name) for name in ("order", "event", "cancelled", "withdrawn"))
    letters = {door: fresh(door) for door in ("jobs", "jobs-urgent", "bus")}
    for id in (order, cancelled):
        answer = jobs.shop.post(
            "/api/jobs/order", params={"notBefore": time}, json=jobs.order(id), headers={"Idempotency-Key": id}
        )
        assert answer.status_code == 202
        assert datetime.fromisoformat(answer.json()["notBefore"]) == datetime.fromisoformat(time)
    unescaped = f"/api/jobs/analytics?notBefore={time}"
    answer = jobs.shop.post(unescaped, json={"event": "seen"}, headers={"Idempotency-Key": event})
    assert answer.status_code == 202
    for queue in ("jobs", "jobs-urgent"):
        jobs.send(letters[queue], mail(letters[queue]), kind="mail", queue=queue, notBefore=time)
    jobs.send(withdrawn, mail(withdrawn), kind="mail", notBefore=time)
    body = {"kind": "mail", "input": mail(letters["bus"]), "notBefore": time}
    bus.send("jobs", ServiceBusMessage(json.dumps(body), message_id=letters["bus"]))
    jobs.shop.drain()

    all_of_them = [("order", order), ("analytics", event), *(("mail", id) for id in letters.values())]
    for kind, id in (("order", cancelled), ("mail", withdrawn)):
        assert jobs.shop.post(f"/api/jobs/{kind}/{id}/cancel").json()["status"] == "Cancelled"

    wait_until(lambda: all(jobs.status(id, kind)["status"] == "Completed" for kind, id in all_of_them), "all are done")
    wait_until(lambda: jobs.runs()["take_bus_job"] == 8, "what was to start the cancelled ones has come too")
    jobs.shop.drain()
    for kind, id in all_of_them:
        status = jobs.ended(id, kind)
        assert status["startedAt"] >= status["notBefore"] > status["submittedAt"]
        assert (
            status["waitSeconds"]
            < (
                datetime.fromisoformat(status["startedAt"]) - datetime.fromisoformat(status["submittedAt"])
            ).total_seconds()
        )
    assert [len(jobs.mails(id)) for id in letters.values()] == [1, 1, 1]
    assert (jobs.ended(cancelled)["status"], jobs.booked(cancelled)) == ("Cancelled", [])
    assert (jobs.ended(withdrawn, "mail")["status"], jobs.mails(withdrawn)) == ("Cancelled", [])
    assert (jobs.left(), jobs.shop.failures) == (PIECES - 1, [])
    assert (jobs.runs()["take_job"], jobs.runs()["take_urgent_job"]) == (5, 2)
