"""Bursts: everything is accepted at once and done later, and urgent work passes the backlog."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from azure.servicebus import ServiceBusMessage

from tests.integration.jobs_seen import PIECES, PRICE, fresh

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


def test_of_a_burst_of_orders_few_begin_and_an_urgent_one_passes_the_rest(open_shop, jobs_of, bus):
    """Two begin at once, and each of the others a thousand seconds after the one before."""
    jobs = jobs_of(open_shop(ORDERS_AT_ONCE="2", ORDERS_PER_SECOND="0.001"))
    burst = fresh("burst")
    normal, urgent, by_queue = [f"{burst}-{number}" for number in range(7)], f"{burst}-http", f"{burst}-queue"
    answers = [jobs.submit(id) for id in normal]
    assert {answer.status_code for answer in answers} == {202}
    assert [answer.json().get("heldUntil") is not None for answer in answers] == [False] * 2 + [True] * 5
    assert [round(int(answer.headers["Retry-After"]) / 1000) for answer in answers] == [0, 0, 1, 2, 3, 4, 5]
    # Submitted again, it is the same job with the same turn.
    again = jobs.submit(normal[-1])
    assert (again.status_code, again.json()["heldUntil"]) == (200, answers[-1].json()["heldUntil"])
    asked = {"params": {"priority": "urgent"}, "headers": {"Idempotency-Key": urgent}}
    assert jobs.shop.post("/api/jobs/order", json=jobs.order(urgent), **asked).status_code == 202
    jobs.send(by_queue, queue="jobs-urgent")

    jobs.shop.drain()
    assert [jobs.status(id)["status"] for id in normal] == ["Completed"] * 2 + ["Pending"] * 5
    assert [jobs.ended(id)["status"] for id in (urgent, by_queue)] == ["Completed"] * 2
    assert jobs.shop.post(f"/api/jobs/order/{normal[2]}/cancel").json()["status"] == "Cancelled"

    held_back = bus.peek("jobs")
    assert (len(held_back), bus.scheduled("jobs")) == (6, 6)
    # Their time has come.
    bus.send("jobs", *map(ServiceBusMessage, held_back))
    jobs.shop.drain()
    sold = [*(id for id in normal if id != normal[2]), urgent, by_queue]
    assert {jobs.ended(id)["status"] for id in sold} == {"Completed"}
    assert [jobs.booked(id) for id in sold] == [["authorization", "charge"]] * len(sold)
    assert (jobs.left(), jobs.balance()) == (PIECES - len(sold), PRICE * len(sold))
    assert (jobs.ended(normal[2])["status"], jobs.booked(normal[2])) == ("Cancelled", [])
    assert (bus.scheduled("jobs"), jobs.shop.failures) == (6, [])
