"""Retention through the whole app: asked for over HTTP, counted first, and then done."""

from __future__ import annotations

from datetime import timedelta

from azure.data.tables import TableServiceClient

from devhost.clock import VirtualClock
from tests.integration.jobs_seen import Jobs, fresh


def age(jobs: Jobs, id: str, days: int) -> None:
    """Have an order ended so long ago."""
    with TableServiceClient.from_connection_string(jobs.storage) as service:
        table = service.get_table_client("jobs")
        ended = (VirtualClock().now() - timedelta(days=days)).isoformat(timespec="microseconds")
        table.update_entity({"PartitionKey": "order", "RowKey": id, "completedAt": ended.replace("+00:00", "Z")})


def clean_up(jobs: Jobs, dry_run: bool) -> dict:
    id = fresh("retention")
    jobs.submit(id, {"dryRun": dry_run}, kind="retention")
    jobs.shop.drain()
    ended = jobs.ended(id, "retention")
    assert ended["status"] == "Completed", ended
    return ended["result"]


def test_old_orders_go_and_what_failed_stays_longer(jobs, bus):
    good, bad = fresh("good"), fresh("bad")
    jobs.submit(good)
    jobs.submit(bad, jobs.order(bad, quantity=1000))
    jobs.shop.drain()
    for id in (good, bad):
        jobs.ended(id)
        age(jobs, id, days=31)

    counted = clean_up(jobs, dry_run=True)
    assert jobs.status(good)["status"] == "Completed"
    done = clean_up(jobs, dry_run=False)
    assert {**done, "dryRun": True} == {**counted, "kept": done["kept"]}
    assert (done["counts"]["jobs"] >= 1, done["counts"]["instances"] >= 1, done["unfinished"]) == (True, True, [])
    assert jobs.shop.get(f"/api/jobs/order/{good}").status_code == 404
    assert jobs.shop.get(f"/runtime/webhooks/durabletask/instances/order-{good}").status_code == 404
    assert jobs.blobs("claims", f"order/{good}") == {}
    assert [row["state"] for row in jobs.rows("orders", f"PartitionKey eq '{good}' and RowKey eq 'order'")]

    assert jobs.status(bad)["status"] == "Failed"
    age(jobs, bad, days=91)
    assert clean_up(jobs, dry_run=False)["kept"]["deadLetters"] == 1
    assert jobs.shop.request("DELETE", f"/api/dead-letters/{_letter(jobs, bad)}").status_code == 204
    clean_up(jobs, dry_run=False)
    assert jobs.shop.get(f"/api/jobs/order/{bad}").status_code == 404
    assert jobs.blobs("dead-letters", f"jobs/order/{bad}") == {}


def _letter(jobs: Jobs, id: str) -> str:
    (letter,) = (each["id"] for each in jobs.shop.get("/api/dead-letters").json()["deadLetters"] if each["jobId"] == id)
    return letter


def test_a_job_whose_instance_was_purged_can_still_be_replayed(jobs):
    id = fresh("purged")
    jobs.submit(id, jobs.order(id, quantity=1000))
    jobs.shop.drain()
    jobs.ended(id)
    # As retention does it: Durable tells instances by their time only, so they may go before their jobs.
    instance = f"/runtime/webhooks/durabletask/instances/order-{id}"
    assert jobs.shop.request("DELETE", instance).status_code == 200
    assert jobs.shop.get(instance).status_code == 404
    assert jobs.status(id)["status"] == "Failed"
    before = jobs.status(id)["completedAt"]
    assert jobs.shop.post(f"/api/dead-letters/{_letter(jobs, id)}/replay").status_code < 300
    jobs.shop.drain()
    ended = jobs.ended(id)
    assert (ended["error"]["type"], ended["completedAt"] > before) == ("OutOfStock", True)
    assert jobs.shop.request("DELETE", f"/api/dead-letters/{_letter(jobs, id)}").status_code == 204


def test_the_id_of_an_order_that_is_long_done_sells_nothing_and_takes_nothing_back(jobs):
    id = fresh("again")
    jobs.submit(id)
    jobs.shop.drain()
    assert jobs.ended(id)["status"] == "Completed"
    left, balance = jobs.left(), jobs.balance(id)
    age(jobs, id, days=31)
    clean_up(jobs, dry_run=False)
    for quantity in (1, 2):
        assert jobs.submit(id, jobs.order(id, quantity=quantity)).status_code == 202
        jobs.shop.drain()
        ended = jobs.ended(id)
        assert (ended["status"], ended.get("error", {}).get("type")) == ("Failed", "OrderExists")
        assert (jobs.left(), jobs.balance(id), jobs.booked(id)) == (left, balance, ["authorization", "charge"])
        assert len(jobs.mails(id)) == 1
        (letter,) = (each for each in jobs.shop.get("/api/dead-letters").json()["deadLetters"] if each["jobId"] == id)
        # Not in another run either, whose keys are new.
        assert jobs.shop.post(f"/api/dead-letters/{letter['id']}/replay").status_code < 300
        jobs.shop.drain()
        assert (jobs.ended(id)["status"], jobs.left(), jobs.balance(id)) == ("Failed", left, balance)
        (letter,) = (each for each in jobs.shop.get("/api/dead-letters").json()["deadLetters"] if each["jobId"] == id)
        assert jobs.shop.request("DELETE", f"/api/dead-letters/{letter['id']}").status_code == 204
        age(jobs, id, days=91)
        clean_up(jobs, dry_run=False)
