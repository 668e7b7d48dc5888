"""The log tells each job's start and end once, and one correlation id leads through all that a job touches."""

from __future__ import annotations

import json

import pytest

from tests.integration.jobs_seen import fresh


@pytest.fixture
def lines(caplog):
    """The structured lines of one job, by its id."""
    caplog.set_level("INFO", "nightshift")

    def of(id: str) -> list[dict]:
        records = [record.message for record in caplog.records if record.name == "nightshift"]
        return [line for line in map(json.loads, records) if line.get("id") == id]

    return of


def assert_start_and_end(jobs, lines, id: str, kind: str, outcome: str, attempt: int = 1) -> None:
    """One line for each, and what they say agrees with the status."""
    status = jobs.ended(id, kind)
    assert status["status"] == outcome
    (start,) = (line for line in lines(id) if line["event"] == "JobStarted")
    (end,) = (line for line in lines(id) if line["event"] in ("JobCompleted", "JobFailed", "JobCancelled"))
    named = {"kind": kind, "id": id, "correlationId": status["correlationId"]}
    waited = {"waitSeconds": status["waitSeconds"]}
    assert start == {"event": "JobStarted", **named, **waited, "attempt": 1}
    error = {"error": status["error"]} if "error" in status else {}
    ran = {"runSeconds": status["runSeconds"], "attempt": attempt}
    assert end == {"event": f"Job{outcome}", **named, "outcome": outcome, **waited, **ran, **error}
    assert 0 <= status["waitSeconds"] < 60 and 0 <= status["runSeconds"] < 60


@pytest.mark.parametrize("door", ["http", "jobs"])
def test_an_order_has_one_start_and_one_end(jobs, lines, door):
    sold, declined = fresh("sold"), fresh("declined")
    jobs.sandbox.fault({"when": {"customer": declined}, "fault": "decline"})
    jobs.sandbox.fault({"when": {"customer": sold}, "fault": "error", "times": 2})
    for id in (sold, declined):
        if door == "http":
            jobs.submit(id)
        else:
            jobs.send(id)
    jobs.shop.advance(minutes=1)
    jobs.submit(sold)
    jobs.send(sold)
    jobs.shop.drain()
    assert_start_and_end(jobs, lines, sold, "order", "Completed")
    assert_start_and_end(jobs, lines, declined, "order", "Failed")


def test_a_cancelled_order_has_one_start_and_one_end(jobs, lines):
    id = fresh("cancelled")
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "throttle"})
    jobs.submit(id)
    jobs.shop.drain()
    jobs.shop.post(f"/api/jobs/order/{id}/cancel")
    jobs.shop.drain()
    assert_start_and_end(jobs, lines, id, "order", "Cancelled")


@pytest.mark.parametrize("door", ["http", "jobs"])
def test_a_single_activity_has_one_start_and_one_end(open_shop, jobs_of, lines, door):
    jobs = jobs_of(open_shop(AzureFunctionsJobHost__extensions__queues__visibilityTimeout="00:00:00"))
    sent, refused = fresh("sent"), fresh("refused")
    jobs.sandbox.fault({"when": {"recipient": f"{refused}@example.com"}, "fault": "decline"})
    jobs.sandbox.fault({"when": {"recipient": f"{sent}@example.com"}, "fault": "error", "times": 2})
    for id in (sent, refused):
        mail = {"to": f"{id}@example.com", "subject": "s", "text": "t"}
        if door == "http":
            jobs.submit(id, mail, kind="mail")
        else:
            jobs.send(id, mail, kind="mail")
    jobs.shop.drain()
    assert_start_and_end(jobs, lines, sent, "mail", "Completed", attempt=3)
    assert_start_and_end(jobs, lines, refused, "mail", "Failed")


def test_each_failed_try_of_a_step_is_told(jobs, lines):
    id = fresh("flaky")
    jobs.sandbox.fault({"when": {"customer": id}, "fault": "error", "times": 2})
    jobs.submit(id)
    jobs.shop.advance(minutes=1)
    tries = [
        (line["step"], line["attempt"], line["error"]["type"]) for line in lines(id) if line["event"] == "StepFailed"
    ]
    assert tries == [("charge_payment", 1, "GatewayUnavailable"), ("charge_payment", 2, "GatewayUnavailable")]


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("x-correlation-id", "web-7.order_1", "web-7.order_1"),
        ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        ("x-correlation-id", "bad id; with spaces", None),
    ],
)
def test_one_correlation_id_leads_everywhere(jobs, lines, header, value, expected):
    id = fresh("traced")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "charge"}, "fault": "error", "times": 1})
    answer = jobs.submit(id, **{header: value})
    jobs.shop.advance(minutes=1)
    correlation_id = answer.headers["x-correlation-id"]
    assert correlation_id == expected or (expected is None and correlation_id != value)
    assert answer.json()["correlationId"] == jobs.ended(id)["correlationId"] == correlation_id
    requests = jobs.sandbox.requests(f"order-{id}")["requests"]
    assert [request["correlationId"] for request in requests] == [correlation_id] * 4
    assert [mail["correlationId"] for mail in jobs.mails(id)] == [correlation_id]
    assert {line["correlationId"] for line in lines(id)} == {correlation_id}
    listed = {"kind": "order", "since": jobs.ended(id)["submittedAt"]}
    assert jobs.shop.get("/api/jobs", params=listed).text.count(correlation_id) == 1


def test_a_message_names_its_own_correlation_id(jobs, lines):
    id = fresh("traced")
    jobs.send(id, correlationId="from-the-queue")
    jobs.shop.drain()
    assert jobs.ended(id)["correlationId"] == "from-the-queue"
    assert {line["correlationId"] for line in lines(id)} == {"from-the-queue"}


def test_the_wait_of_a_message_counts_from_its_submission(jobs):
    id = fresh("old")
    jobs.send(id, enqueuedAt="2026-01-01T00:00:00Z")
    jobs.shop.drain()
    done = jobs.ended(id)
    assert done["submittedAt"] == "2026-01-01T00:00:00.000000Z"
    assert done["waitSeconds"] > 3600
