"""What fails every time: the host moves it to a poison queue, and the relay buries it with its reason, once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.integration.jobs_seen import fresh

LAST_ATTEMPT = {"AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00"}


@pytest.fixture
def shop(open_shop):
    """A message that failed comes again at once, instead of after ten seconds."""
    return open_shop(**LAST_ATTEMPT)


def event(id: str | None, **fields) -> str:
    return json.dumps({"kind": "analytics", "input": {"event": "seen"}, **({"id": id} if id else {}), **fields})


def reasons(bus) -> Counter[tuple[str, str]]:
    return Counter((letter.reason, letter.source) for letter in bus.dead())


@pytest.mark.parametrize("queue", ["jobs", "jobs-urgent"])
def test_a_job_whose_host_died_every_time_has_failed(jobs, bus, queue):
    id = fresh("killed")
    with jobs.closed_doors():
        jobs.submit(id, {"event": "seen"}, kind="analytics")
        (message,) = jobs.messages("jobs")
        jobs.clear("jobs")
        jobs.put(message, f"{queue}-poison")
    jobs.shop.drain()
    done = jobs.ended(id, "analytics")
    assert (done["status"], done["error"]["type"], done["error"]["retryable"]) == (
        "Failed",
        "MaxDequeueCountExceeded",
        True,
    )
    (letter,) = bus.dead()
    assert (letter.reason, letter.source, letter.properties["jobId"]) == ("MaxDequeueCountExceeded", "http", id)
    assert letter.properties["attempts"] == 5


def test_the_relay_says_what_is_wrong_with_a_message_and_not_that_it_came_often(jobs, bus):
    """The Service Bus was away when these came, so the host gave them up."""
    taken = fresh("taken")
    jobs.submit(taken, {"event": "seen"}, kind="analytics")
    jobs.shop.drain()
    for text in (
        "no job",
        '{"kind": "cake"}',
        event(None, priority="now"),
        event(taken, input={"event": "other"}),
        event(fresh("never-came")),
    ):
        jobs.put(text, "jobs-poison")
    jobs.shop.drain()
    assert reasons(bus) == {
        (reason, "storage:jobs"): 1
        for reason in ("NotAJob", "UnknownKind", "InvalidInput", "JobConflict", "MaxDequeueCountExceeded")
    }
    assert jobs.messages("jobs-poison") == []


def test_what_is_done_or_being_done_needs_no_letter(jobs, bus):
    done, running = fresh("done"), fresh("running")
    jobs.submit(done, {"event": "seen"}, kind="analytics")
    jobs.sandbox.fault({"when": {"customer": running}, "fault": "throttle", "times": 1})
    jobs.submit(running)
    jobs.shop.drain()
    jobs.put(event(done), "jobs-poison")
    jobs.put(json.dumps({"kind": "order", "id": running, "input": jobs.order(running)}), "jobs-poison")
    jobs.shop.drain()
    assert (bus.dead(), jobs.messages("jobs-poison")) == ([], [])
    jobs.shop.advance(minutes=1)
    assert jobs.ended(running)["status"] == jobs.ended(done, "analytics")["status"] == "Completed"


def test_a_blob_that_kept_failing_is_buried_once_though_the_host_said_it_twice(jobs, bus):
    about = {"Type": "BlobTrigger", "FunctionId": "Host.Functions.photo", "BlobType": "BlockBlob"}
    text = json.dumps(about | {"ContainerName": "photos", "BlobName": "2026/a.jpg", "ETag": '"0x8D"'})
    for _ in range(2):
        jobs.put(text, "webjobs-blobtrigger-poison")
    jobs.put("nonsense", "webjobs-blobtrigger-poison")
    jobs.shop.drain()
    assert reasons(bus) == {
        ("MaxDequeueCountExceeded", "blob:photos/2026/a.jpg"): 1,
        ("NotAJob", "storage:webjobs-blobtrigger"): 1,
    }


def test_without_a_service_bus_what_failed_waits_in_the_poison_queue(open_shop, jobs_of, bus):
    doors = ("take_bus_job", "take_order_event", "take_delivery")
    bound = {f"AzureWebJobs.{function}.Disabled": "true" for function in doors}
    shop = open_shop(**LAST_ATTEMPT, **bound, AzureWebJobsServiceBus="", DEVHOST_QUEUE_LEASE="1")
    jobs, refused, good = jobs_of(shop), fresh("refused"), fresh("good")
    jobs.sandbox.fault({"when": {"recipient": f"{refused}@example.com"}, "fault": "decline"})
    jobs.put("no job")
    jobs.send(refused, {"to": f"{refused}@example.com", "subject": "s", "text": "t"}, kind="mail")
    jobs.submit(good)
    wait_until(lambda: jobs.runs()["relay_job"] >= 2)
    assert shop.get("/api/health").json()["missing"] == ["service bus"]
    assert (jobs.ended(good)["status"], jobs.ended(refused, "mail")["error"]["type"]) == ("Completed", "MailRefused")
    assert (jobs.runs()["take_job"], bus.dead()) == (6, [])
    shop.stop()

    open_shop(**LAST_ATTEMPT)
    wait_until(lambda: len(bus.dead()) == 2)
    assert reasons(bus) == {("NotAJob", "storage:jobs"): 1, ("MailRefused", "storage:jobs"): 1}


def wait_until(happened: Callable[[], bool]) -> None:
    """A relay that fails leaves its message hidden for a while, and does not let the host be idle meanwhile."""
    deadline = time.monotonic() + 100
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
