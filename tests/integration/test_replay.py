"""Fix and replay: what failed because something was wrong completes when it is mended, and its effects happen once."""

from __future__ import annotations

import json

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


def test_orders_that_the_gateway_refused_are_charged_once_when_it_is_mended(jobs, bus):
    """By whatever door they came. One is never mended: its third replay is refused."""
    ids = {door: fresh(door) for door in ("http", "storage", "bus", "hopeless")}
    for id in ids.values():
        jobs.sandbox.fault({"when": {"customer": id, "operation": "charge"}, "fault": "decline"})
    jobs.submit(ids["http"])
    jobs.submit(ids["hopeless"])
    jobs.send(ids["storage"])
    body = json.dumps({"kind": "order", "id": ids["bus"], "input": jobs.order(ids["bus"])})
    bus.send("jobs", ServiceBusMessage(body))

    # Not mended: they fail once more, and are undone once more.
    first = the_letters_after_a_drain(jobs, ids)
    assert {(letter["reason"], letter["kind"]) for letter in first.values()} == {("CardDeclined", "order")}
    assert {replay(jobs.shop, letter["id"]).status_code for letter in first.values()} == {202}
    second = the_letters_after_a_drain(jobs, ids)
    assert {letter["id"] for letter in first.values()}.isdisjoint(letter["id"] for letter in second.values())

    jobs.sandbox.clear_faults()
    hopeless = ids.pop("hopeless")
    jobs.sandbox.fault({"when": {"customer": hopeless}, "fault": "decline"})
    assert {replay(jobs.shop, letter["id"]).status_code for letter in second.values()} == {202}
    third = the_letters_after_a_drain(jobs, {"hopeless": hopeless})[hopeless]
    answer = replay(jobs.shop, third["id"])
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert "replayed 2 times" in answer.json()["detail"]
    assert the_letter(jobs.shop) == third

    assert jobs.left() == PIECES - len(ids)
    for id in ids.values():
        done = jobs.ended(id)
        assert (done["status"], done["result"]["total"], len(jobs.mails(id))) == ("Completed", PRICE, 1)
        assert [jobs.booked(f"{id}{run}") for run in ("", "~2", "~3")] == [
            ["authorization", "void"],
            ["authorization", "void"],
            ["authorization", "charge"],
        ]
        (book,) = jobs.rows("orders", f"PartitionKey eq '{id}' and state eq 'HandedOver'")
        assert book["RowKey"] == "order~3"


def the_letters_after_a_drain(jobs, ids: dict[str, str]) -> dict[str, dict]:
    """The dead letters of the orders, one of each, by the orders' ids. What they did was undone."""
    jobs.shop.drain()
    assert {jobs.ended(id)["error"]["type"] for id in ids.values()} == {"CardDeclined"}
    assert {jobs.balance(id) for id in ids.values()} == {0}
    letters = {each["jobId"]: each for each in jobs.shop.get("/api/dead-letters").json()["deadLetters"]}
    assert sorted(letters) == sorted(ids.values())
    return letters


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
