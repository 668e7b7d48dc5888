"""Urgent work has a queue of its own: no backlog of normal work holds it up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.integration.jobs_seen import fresh

NORMAL = 300


def mail(id: str) -> dict:
    return {"to": f"{id}@example.com", "subject": "s", "text": "t"}


def test_urgent_mails_overtake_a_backlog_of_normal_ones(jobs):
    normal = [fresh("normal") for _ in range(NORMAL)]
    by_queue, by_http = [fresh("urgent") for _ in range(3)], [fresh("urgent") for _ in range(2)]
    with jobs.closed_doors():
        with ThreadPoolExecutor(8) as senders:
            list(senders.map(lambda id: jobs.send(id, mail(id), kind="mail"), normal))
        for id in by_queue:
            jobs.send(id, mail(id), kind="mail", queue="jobs-urgent")
        for id in by_http:
            headers = {"Idempotency-Key": id}
            jobs.shop.post("/api/jobs/mail", params={"priority": "urgent"}, json=mail(id), headers=headers)
    jobs.shop.drain()
    sent = [message["to"].partition("@")[0] for message in jobs.sandbox.mailbox()["messages"]]
    assert sorted(sent) == sorted(normal + by_queue + by_http)
    assert max(sent.index(id) for id in by_queue + by_http) < NORMAL / 2
