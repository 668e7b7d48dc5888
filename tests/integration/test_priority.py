"""Bursts: everything is accepted at once and done later, and urgent work has a queue that no backlog holds up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.integration.jobs_seen import fresh

NORMAL = 300
AT_ONCE = 16
"""Requests under way at the same time."""


def test_a_burst_is_accepted_and_urgent_jobs_overtake_its_backlog(jobs):
    burst = fresh("burst")
    normal = [f"{burst}-{number}" for number in range(NORMAL)]
    by_http, by_queue = [f"{burst}-http-{number}" for number in range(3)], [f"{burst}-queue-{n}" for n in range(2)]

    def submit(id: str) -> int:
        query = {"priority": "urgent"} if id in by_http else {}
        answer = jobs.shop.post(
            "/api/jobs/analytics", params=query, json={"event": "seen"}, headers={"Idempotency-Key": id}
        )
        return answer.status_code

    with jobs.closed_doors():
        with ThreadPoolExecutor(AT_ONCE) as senders:
            codes = senders.map(submit, normal[: NORMAL // 2] + by_http + normal[NORMAL // 2 :])
            assert set(codes) == {202}
        for id in by_queue:
            jobs.send(id, {"event": "seen"}, kind="analytics", queue="jobs-urgent")
    jobs.shop.drain()
    rows = jobs.rows("jobs", f"PartitionKey eq 'analytics' and RowKey ge '{burst}' and RowKey lt '{burst}~'")
    assert {row["state"] for row in rows} == {"Completed"}
    ended = [row["RowKey"] for row in sorted(rows, key=lambda row: row["completedAt"])]
    assert sorted(ended) == sorted(normal + by_http + by_queue)
    assert max(ended.index(id) for id in by_http + by_queue) < NORMAL / 2
