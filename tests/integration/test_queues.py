"""The queues, as a person looks at them: how much waits in each, and since when."""

from __future__ import annotations

import json

from azure.servicebus import ServiceBusMessage

from tests.integration.jobs_seen import fresh


def look(shop, described) -> dict[str, tuple]:
    answer = shop.get("/api/queues").raise_for_status().json()
    assert answer["missing"] == []
    for queue in answer["queues"]:
        described("Queue", queue)
    return {
        each["queue"]: (each["depth"], each["isMore"], each["oldestSeconds"] is not None) for each in answer["queues"]
    }


def test_what_waits_is_counted_in_storage_and_on_the_bus(jobs, bus, described):
    assert set(look(jobs.shop, described).values()) == {(0, False, False)}
    with jobs.closed_doors():
        for _ in range(2):
            jobs.send(fresh("waits"), {"event": "seen"}, kind="analytics")
        waiting = {"kind": "analytics", "id": fresh("waits"), "input": {"event": "seen"}}
        bus.send("jobs", ServiceBusMessage(json.dumps(waiting)))
        changes = [ServiceBusMessage("{}", session_id=session) for session in ("A-1", "A-1", "A-2")]
        bus.send("order-events", *changes)
        found = look(jobs.shop, described)
    assert found["jobs"] == (2, False, True)
    assert found["servicebus:jobs"] == (1, False, True)
    assert found["servicebus:order-events"] == (2, True, False)  # at least one message in each of two sessions
    assert found["servicebus:deliveries"] == (0, False, False)
    assert found["jobs-urgent"] == (0, False, False)
    jobs.shop.drain()
    assert set(look(jobs.shop, described).values()) == {(0, False, False)}
