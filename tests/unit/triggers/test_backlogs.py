"""The door to the queues when the Service Bus is not there."""

from __future__ import annotations

import pytest

from jobs import backlogs
from jobs.clients import QUEUES
from jobs.errors import ServiceBusUnavailableError
from tests.unit.triggers.doors import ask, content

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]
ON_THE_BUS = ["servicebus:jobs", "servicebus:deliveries", "servicebus:order-events"]


async def test_what_cannot_be_looked_into_is_named_and_the_rest_is_shown():
    answer = await ask("list_queues")
    shown = content(answer)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (shown["missing"], [each["queue"] for each in shown["queues"]]) == (ON_THE_BUS, list(QUEUES))


async def test_one_queue_that_fails_hides_no_other(monkeypatch):
    async def look(link, name, most):
        if link.queue == "deliveries":
            raise ServiceBusUnavailableError("away")
        return backlogs.Depth(name, 3)

    async def sessions():
        return backlogs.Depth("servicebus:order-events", 1, is_more=True)

    monkeypatch.setattr(backlogs, "_look", look)
    monkeypatch.setattr(backlogs, "_sessions", sessions)
    shown = content(await ask("list_queues"))
    assert {"servicebus:jobs", "servicebus:order-events"} < {each["queue"] for each in shown["queues"]}
    assert shown["missing"] == ["servicebus:deliveries"]
