"""Mail and analytics: one activity, no orchestration; the queue repeats it and the ledger does it once."""

from __future__ import annotations

import json

import pytest

from tests.integration.jobs_seen import fresh


@pytest.fixture
def shop(open_shop):
    """A message that failed comes again at once, instead of after ten seconds."""
    return open_shop(AzureFunctionsJobHost__extensions__queues__visibilityTimeout="00:00:00")


def mail(id: str) -> dict:
    return {"to": f"{id}@example.com", "subject": f"About {id}", "text": "Grüße\n"}


def hand_in(jobs, door: str, id: str, input: dict, kind: str) -> None:
    if door == "http":
        assert jobs.submit(id, input, kind=kind).status_code in (200, 202)
    else:
        jobs.send(id, input, kind=kind, queue=door)


DOORS = ("http", "jobs", "jobs-urgent")


@pytest.mark.parametrize("door", DOORS)
def test_a_mail_is_sent_once_per_id(jobs, door):
    id = fresh("mail")
    with jobs.closed_doors():
        for _ in range(3):
            hand_in(jobs, door, id, mail(id), "mail")
    jobs.shop.drain()
    hand_in(jobs, door, id, mail(id), "mail")
    jobs.shop.drain()
    assert jobs.ended(id, "mail")["status"] == "Completed"
    (message,) = jobs.mails(id)
    assert (message["subject"], message["text"].strip()) == (f"About {id}", "Grüße")
    assert jobs.sandbox.mailbox()["duplicates"] == 0
    assert jobs.messages("jobs-poison") == jobs.messages("jobs-urgent-poison") == []


def test_a_mail_server_that_is_busy_is_asked_again(jobs):
    id = fresh("busy")
    jobs.sandbox.fault({"when": {"recipient": f"{id}@example.com"}, "fault": "error", "times": 2})
    jobs.submit(id, mail(id), kind="mail")
    jobs.shop.drain()
    assert jobs.ended(id, "mail")["status"] == "Completed"
    assert jobs.runs()["take_job"] == 3
    assert len(jobs.mails(id)) == 1


def test_a_lost_answer_is_not_a_second_mail(jobs):
    id = fresh("lost")
    jobs.sandbox.fault({"when": {"recipient": f"{id}@example.com"}, "fault": "drop_after", "times": 1})
    jobs.submit(id, mail(id), kind="mail")
    jobs.shop.drain()
    assert jobs.ended(id, "mail")["status"] == "Completed"
    assert len(jobs.mails(id)) == 1
    assert jobs.sandbox.mailbox()["duplicates"] == 1  # known by its Message-ID


@pytest.mark.parametrize("door", DOORS)
def test_a_mail_that_is_refused_is_not_tried_again(jobs, bus, door):
    id = fresh("refused")
    jobs.sandbox.fault({"when": {"recipient": f"{id}@example.com"}, "fault": "decline"})
    hand_in(jobs, door, id, mail(id), "mail")
    jobs.shop.drain()
    done = jobs.ended(id, "mail")
    assert (done["status"], done["error"]["type"], done["error"]["retryable"]) == ("Failed", "MailRefused", False)
    assert "550" in done["error"]["message"]
    assert jobs.runs()["take_job"] + jobs.runs()["take_urgent_job"] == 1
    (letter,) = bus.dead()
    assert (letter.reason, letter.source) == ("MailRefused", "http" if door == "http" else f"storage:{door}")


def test_a_mail_server_that_is_down_for_good_costs_five_attempts(jobs, bus):
    id = fresh("down")
    jobs.sandbox.fault({"when": {"recipient": f"{id}@example.com"}, "fault": "error"})
    jobs.submit(id, mail(id), kind="mail")
    jobs.shop.drain()
    done = jobs.ended(id, "mail")
    assert (done["status"], done["error"]["type"], done["error"]["retryable"]) == (
        "Failed",
        "MailServerUnavailable",
        True,
    )
    assert jobs.runs()["take_job"] == 5
    (letter,) = bus.dead()
    assert (letter.reason, letter.properties["errorType"]) == ("MaxDequeueCountExceeded", "MailServerUnavailable")
    assert (letter.properties["jobId"], letter.properties["attempts"], letter.source) == (id, 5, "http")
    assert jobs.shop.failures[-1].function == "take_job" and len(jobs.shop.failures) == 4


@pytest.mark.parametrize("door", DOORS)
def test_an_event_is_counted_once_per_id(jobs, door):
    id, event = fresh("event"), fresh("viewed")
    with jobs.closed_doors():
        for _ in range(3):
            hand_in(jobs, door, id, {"event": event, "properties": {"n": 1}}, "analytics")
    jobs.shop.drain()
    assert jobs.ended(id, "analytics")["status"] == "Completed"
    (row,) = jobs.rows("analytics", f"RowKey eq 'analytics-{id}.analytics'")
    assert row["PartitionKey"].endswith(f".{event}")
    assert json.loads(row["properties"]) == {"n": 1}


def test_two_ids_are_two_events(jobs):
    event = fresh("viewed")
    for _ in range(2):
        jobs.submit(fresh("event"), {"event": event}, kind="analytics")
    jobs.shop.drain()
    assert len([row for row in jobs.rows("analytics") if row["PartitionKey"].endswith(event)]) == 2


def test_it_needs_no_orchestration(jobs):
    id = fresh("mail")
    jobs.submit(id, mail(id), kind="mail")
    jobs.shop.drain()
    assert jobs.shop.get(f"/runtime/webhooks/durabletask/instances/mail-{id}").status_code == 404
