"""The Service Bus queue `jobs`: another door to the same jobs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
from azure.servicebus import ServiceBusMessage

from tests.integration.bus_seen import Bus
from tests.integration.jobs_seen import PIECES, fresh

NOT_JOBS = {
    "NotAJob": b"this is no job",
    "UnknownKind": json.dumps({"kind": "haircut", "input": {}}).encode(),
    "InvalidInput": json.dumps({"kind": "order", "input": {"customer": {"address": "Marzipan Crescent"}}}).encode(),
}


@pytest.fixture
def drop(jobs, bus) -> Callable[..., str]:
    """Drops a job into the Service Bus queue, and returns its id."""

    def drop(id: str, input=None, *, kind: str = "order", fields=None, **properties) -> str:
        given = jobs.order(id) if input is None else input
        body = json.dumps({"kind": kind, "input": given, **(fields or {})})
        bus.send("jobs", ServiceBusMessage(body, **{"message_id": id} | properties))
        return id

    return drop


def test_an_order_is_done_once_however_often_it_comes(jobs, bus: Bus, drop):
    id = fresh("bus")
    for _ in range(3):
        drop(id, correlation_id="from-the-bus", reply_to="replies")
    jobs.shop.drain()
    done = jobs.ended(id)
    assert (done["status"], done["correlationId"], done["replyTo"]) == ("Completed", "from-the-bus", "replies")
    assert (jobs.left(), jobs.booked(id)) == (PIECES - 1, ["authorization", "charge"])
    assert jobs.runs()["take_bus_job"] == 3
    assert (bus.waiting("jobs"), bus.dead("jobs"), jobs.shop.failures) == (0, [], [])


def test_a_mail_waits_in_the_storage_queue(jobs, bus: Bus, drop):
    """The bus would give it five attempts within a second."""
    id = fresh("mail")
    drop(id, {"to": f"{id}@example.com", "subject": "s", "text": "t"}, kind="mail")
    jobs.shop.drain()
    assert jobs.ended(id, "mail")["status"] == "Completed"
    assert len(jobs.mails(id)) == 1
    assert (jobs.runs()["take_bus_job"], jobs.runs()["take_job"], bus.waiting("jobs")) == (1, 1, 0)


def test_the_body_goes_before_its_envelope(jobs, drop):
    id = fresh("named")
    drop(fresh("message"), jobs.order(id), fields={"id": id, "correlationId": "from-the-body"}, correlation_id="c")
    jobs.shop.drain()
    assert jobs.ended(id)["correlationId"] == "from-the-body"


def test_what_is_no_job_is_buried_at_the_first_attempt(jobs, bus: Bus, caplog):
    caplog.set_level("INFO")
    ids = {reason: fresh("none") for reason in NOT_JOBS}
    bus.send("jobs", *(ServiceBusMessage(body, message_id=ids[reason]) for reason, body in NOT_JOBS.items()))
    jobs.shop.drain()
    letters = {letter.properties["messageId"]: letter for letter in bus.dead()}
    for reason, id in ids.items():
        assert (letters[id].reason, letters[id].source, letters[id].properties["attempts"]) == (
            reason,
            "servicebus:jobs",
            1,
        )
    assert (jobs.runs()["take_bus_job"], bus.waiting("jobs"), bus.dead("jobs"), jobs.shop.failures) == (3, 0, [], [])
    # The body is kept elsewhere: it may be anything.
    assert "Marzipan" not in caplog.text + "".join(map(repr, letters.values()))


def test_what_cannot_be_entered_is_dead_lettered_by_the_bus(jobs, bus: Bus, drop, monkeypatch):
    async def away(*_):
        raise ConnectionError("storage is away")

    id = fresh("stuck")
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["jobs.ledger"], "submit", away)
        drop(id)
        jobs.shop.drain()
    assert (jobs.runs()["take_bus_job"], bus.waiting("jobs")) == (5, 0)
    (letter,) = bus.dead("jobs")
    assert (letter.reason, json.loads(letter.body)["input"]) == ("MaxDeliveryCountExceeded", jobs.order(id))
    assert jobs.shop.get(f"/api/jobs/order/{id}").status_code == 404
