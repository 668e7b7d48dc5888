"""A job's steps, as `?steps=true` shows them: what was tried again, what was undone, what goes on at once or waits."""

from __future__ import annotations

import json

import pytest
from azure.storage.blob import BlobServiceClient

from jobs import uploads
from tests.conftest import ROOT, WITH_BLOBS
from tests.integration.jobs_seen import PRICE, fresh
from tests.integration.questions_seen import ASKING, FIRST, Questions


@pytest.fixture
def jobs(open_shop, jobs_of):
    """A shop that takes photos, and in which two pieces are so many that somebody is asked."""
    return jobs_of(open_shop(**WITH_BLOBS, **ASKING, ORDER_APPROVAL_LIMIT=str(PRICE)))


def steps(jobs, id: str, kind: str = "order") -> list[dict]:
    found = jobs.shop.get(f"/api/jobs/{kind}/{id}", params={"steps": "true"}).raise_for_status().json()
    return found["steps"]


def brief(found: list[dict]) -> list[tuple]:
    return [(each["step"], each["status"], each["attempts"], each.get("undo", False)) for each in found]


def test_an_order_that_is_tried_again_and_then_undone(jobs):
    id = fresh("undone")
    jobs.sandbox.fault({"when": {"customer": id, "operation": "authorize"}, "fault": "error", "times": 2})
    jobs.sandbox.fault({"when": {"customer": id, "operation": "charge"}, "fault": "decline"})
    jobs.sandbox.fault({"when": {"customer": id, "operation": "void"}, "fault": "error", "times": 1})
    jobs.submit(id)
    jobs.shop.drain()
    waiting = steps(jobs, id)
    assert brief(waiting) == [("reserve_stock", "Completed", 1, False), ("charge_payment", "Waiting", 1, False)]
    assert waiting[1]["completedAt"] is None and "Gateway" in waiting[1]["error"]["type"]
    jobs.shop.advance(minutes=5)
    found = steps(jobs, id)
    assert brief(found) == [
        ("reserve_stock", "Completed", 1, False),
        ("charge_payment", "Failed", 3, False),
        ("refund_payment", "Completed", 2, True),
        ("release_stock", "Completed", 1, True),
        ("end_job", "Completed", 1, False),
    ]
    assert found[1]["error"]["type"] == "CardDeclined"
    assert all(each["startedAt"] <= each["completedAt"] for each in found)
    assert [each["startedAt"] for each in found] == sorted(each["startedAt"] for each in found)
    assert "example.com" not in json.dumps(found)


def test_a_single_activity_is_one_step(jobs):
    id = fresh("mail")
    jobs.submit(id, {"to": f"{id}@example.com", "subject": "About it", "text": "…"}, kind="mail")
    jobs.shop.drain()
    done = jobs.ended(id, "mail")
    (step,) = steps(jobs, id, "mail")
    assert brief([step]) == [("mail", "Completed", 1, False)]
    assert (step["startedAt"], step["completedAt"]) == (done["startedAt"], done["completedAt"])


def test_the_sizes_of_a_photo_are_made_at_once(jobs):
    name = f"{fresh('steps')}/cat.png"
    with BlobServiceClient.from_connection_string(jobs.storage) as service:
        etag = service.get_blob_client("photos", name).upload_blob((ROOT / "samples/photos/cat.png").read_bytes())[
            "etag"
        ]
    jobs.shop.drain()
    found = steps(jobs, uploads.message("photos", name, etag)["id"], "photo")
    assert brief(found) == [
        ("inspect_photo", "Completed", 1, False),
        *[("make_thumbnails", "Completed", 1, False)] * 3,
        ("write_manifest", "Completed", 1, False),
        ("end_job", "Completed", 1, False),
    ]


def test_an_order_that_waits_for_a_person(jobs):
    id = fresh("dear")
    jobs.submit(id, jobs.order(id, quantity=2))
    jobs.shop.drain()
    found = steps(jobs, id)
    assert brief(found)[-1] == ("decision", "Waiting", 1, False)
    listed = jobs.shop.get("/api/jobs", params={"status": "Waiting", "order": "newest"}).json()["jobs"]
    assert [(each["waitingFor"], each["progress"]) for each in listed if each["id"] == id] == [("approval", None)]
    questions = Questions(jobs)
    assert questions.vote(questions.link(FIRST, id, "order"), "approve").status_code == 200
    jobs.shop.drain()
    found = {each["step"]: each for each in steps(jobs, id)}
    assert found["decision"]["status"] == found["charge_payment"]["status"] == "Completed"
    assert found["decision"]["completedAt"] <= found["charge_payment"]["startedAt"]
