"""Fix and replay: what failed because something was wrong completes when it is mended, and its effects happen once."""

from __future__ import annotations

import json

import pytest
from azure.servicebus import ServiceBusMessage

from tests.integration.jobs_seen import PIECES, PRICE, fresh
from tests.integration.test_orders import withdraw

AT_ONCE = {"AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00"}


def replay(shop, id: str):
    """Ask for a replay as an operator does."""
    return shop.post(f"/api/dead-letters/{id}/replay")


def the_letter(shop) -> dict:
    """The one dead letter that there is."""
    (letter,) = shop.get("/api/dead-letters").json()["deadLetters"]
    return letter


def test_a_mail_that_failed_for_a_wrong_setting_is_sent_after_a_restart(open_shop, jobs_of):
    shop = open_shop(**AT_ONCE, SMTP_PORT="1")
    jobs, id = jobs_of(shop), fresh("mail")
    jobs.submit(id, {"to": f"{id}@example.com", "subject": "s", "text": "t"}, kind="mail")
    shop.drain()
    assert jobs.runs()["take_job"] == 5
    assert jobs.ended(id, "mail")["error"]["type"] == "MailServerUnavailable"
    shop.stop()

    shop = open_shop(**AT_ONCE)
    jobs = jobs_of(shop)
    letter = the_letter(shop)
    assert (letter["reason"], letter["errorType"], letter["attempts"], letter["jobId"]) == (
        "MaxDequeueCountExceeded",
        "MailServerUnavailable",
        5,
        id,
    )
    answer = replay(shop, letter["id"])
    assert (answer.status_code, answer.json()) == (202, {"id": letter["id"], "done": True, "where": "storage:jobs"})
    shop.drain()
    done = jobs.ended(id, "mail")
    assert (done["status"], "error" in done, len(jobs.mails(id))) == ("Completed", False, 1)
    assert shop.get("/api/dead-letters").json() == {"deadLetters": []}
    assert replay(shop, letter["id"]).status_code == 404


@pytest.mark.parametrize("door", ["http", "jobs", "bus"])
def test_an_order_that_the_gateway_refused_is_charged_once_when_it_is_mended(jobs, bus, door):
    id = fresh("order")
    fault = {"when": {"customer": id, "operation": "charge"}, "fault": "decline"}
    jobs.sandbox.fault(fault)
    if door == "http":
        jobs.submit(id)
    elif door == "jobs":
        jobs.send(id)
    else:
        bus.send("jobs", ServiceBusMessage(json.dumps({"kind": "order", "id": id, "input": jobs.order(id)})))
    jobs.shop.drain()
    assert jobs.ended(id)["error"]["type"] == "CardDeclined"
    assert (jobs.left(), jobs.balance()) == (PIECES, 0)

    # Not mended: it fails once more, and is undone once more.
    letter = the_letter(jobs.shop)
    assert (letter["reason"], letter["kind"], letter["jobId"]) == ("CardDeclined", "order", id)
    assert replay(jobs.shop, letter["id"]).status_code == 202
    jobs.shop.drain()
    assert jobs.ended(id)["error"]["type"] == "CardDeclined"
    assert (jobs.left(), jobs.balance(), jobs.booked(id)) == (PIECES, 0, ["authorization", "void"])

    jobs.sandbox.clear_faults()
    again = the_letter(jobs.shop)
    assert again["id"] != letter["id"]
    assert replay(jobs.shop, again["id"]).status_code == 202
    jobs.shop.drain()
    done = jobs.ended(id)
    assert (done["status"], done["result"]["total"]) == ("Completed", PRICE)
    assert (jobs.left(), jobs.balance(), len(jobs.mails(id))) == (PIECES - 1, PRICE, 1)
    assert [jobs.booked(f"{id}{run}") for run in ("", "~2", "~3")] == [
        ["authorization", "void"],
        ["authorization", "void"],
        ["authorization", "charge"],
    ]
    (book,) = jobs.rows("orders", f"PartitionKey eq '{id}' and state eq 'HandedOver'")
    assert book["RowKey"] == "order~3"
    assert bus.dead() == []


def test_the_third_replay_is_refused(jobs):
    id = fresh("hopeless")
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "decline"})
    jobs.submit(id)
    for _ in range(2):
        jobs.shop.drain()
        assert replay(jobs.shop, the_letter(jobs.shop)["id"]).status_code == 202
    jobs.shop.drain()
    letter = the_letter(jobs.shop)
    answer = replay(jobs.shop, letter["id"])
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert "replayed 2 times" in answer.json()["detail"]
    assert the_letter(jobs.shop) == letter
    assert jobs.ended(id)["status"] == "Failed"
    assert len(jobs.asked(id, "authorize")) == 1
    assert jobs.left() == PIECES


def test_what_could_not_be_undone_is_not_run_again(jobs):
    id = fresh("stuck")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "refund"}, "fault": "decline"})
    withdraw(jobs, id)
    jobs.submit(id)
    jobs.shop.drain()
    letter = the_letter(jobs.shop)
    assert (letter["reason"], "refund_payment" in letter["description"]) == ("OrderWithdrawn", True)
    answer = replay(jobs.shop, letter["id"])
    assert answer.status_code == 409 and "refund_payment" in answer.json()["detail"]
    assert jobs.ended(id)["error"]["openCompensations"] == ["refund_payment"]


def test_a_message_goes_back_as_it_was(jobs, bus):
    text = json.dumps({"kind": "haircut", "id": fresh("hair"), "input": {"style": "short"}})
    jobs.put(text, "jobs-urgent")
    jobs.shop.drain()
    letter = the_letter(jobs.shop)
    with jobs.closed_doors():
        assert replay(jobs.shop, letter["id"]).json()["where"] == "storage:jobs-urgent"
        assert jobs.messages("jobs-urgent") == [text]
    jobs.shop.drain()
    assert [each.reason for each in bus.dead()] == ["UnknownKind"], "there is no such kind yet"


def test_an_order_event_goes_back_into_its_session(jobs, bus):
    id = fresh("late")
    bus.send("order-events", ServiceBusMessage(json.dumps({"event": "cancel", "sequence": 1}), session_id=id))
    jobs.shop.drain()
    letter = the_letter(jobs.shop)
    assert (letter["reason"], letter["sessionId"], letter["jobId"]) == ("JobNotFound", id, id)
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "throttle", "retryAfter": 600, "times": 1})
    jobs.submit(id)
    jobs.shop.drain()
    assert replay(jobs.shop, letter["id"]).json()["where"] == "servicebus:order-events"
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Cancelled"
    assert bus.dead() == []
