"""Urgent work has a queue of its own: no backlog of normal work holds it up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.jobs_seen import fresh

NORMAL, URGENT = 300, 5


def mail(id: str) -> dict:
    return {"to": f"{id}@example.com", "subject": "s", "text": "t"}


@pytest.mark.parametrize("door", ["jobs-urgent", "http"])
def test_urgent_mails_overtake_a_backlog_of_normal_ones(jobs, door):
    normal = [fresh("normal") for _ in range(NORMAL)]
    urgent = [fresh("urgent") for _ in range(URGENT)]
    with jobs.closed_doors():
        with ThreadPoolExecutor(8) as senders:
            list(senders.map(lambda id: jobs.send(id, mail(id), kind="mail"), normal))
        for id in urgent:
            if door == "http":
                headers = {"Idempotency-Key": id}
                jobs.shop.post("/api/jobs/mail", params={"priority": "urgent"}, json=mail(id), headers=headers)
            else:
                jobs.send(id, mail(id), kind="mail", queue="jobs-urgent")
    jobs.shop.drain()
    order = [message["to"].partition("@")[0] for message in jobs.sandbox.mailbox()["messages"]]
    assert sorted(order) == sorted(normal + urgent)
    assert max(order.index(id) for id in urgent) < NORMAL / 2
