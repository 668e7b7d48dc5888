"""The doors to the dead letters: what operators see of them, and how they get rid of them."""

from __future__ import annotations

import json
import sys

import pytest
from azure.storage.blob import BlobServiceClient

from tests.integration.jobs_seen import fresh

SECRET = "12 St James's Square"


@pytest.fixture
def letters(jobs, bus) -> dict[str, dict]:
    """Three dead letters by their reasons: an order, and two messages of which one has a secret."""
    greedy = fresh("greedy")
    jobs.submit(greedy, jobs.order(greedy, quantity=1000))
    jobs.put("no job")
    jobs.put(json.dumps({"kind": "order", "id": fresh("odd"), "input": jobs.order("odd") | {"card": SECRET}}))
    jobs.shop.drain()
    found = jobs.shop.get("/api/dead-letters").raise_for_status().json()["deadLetters"]
    return {letter["reason"]: letter for letter in found}


def test_they_are_listed_by_what_they_say(jobs, letters):
    assert set(letters) == {"OutOfStock", "NotAJob", "InvalidInput"}
    order = letters["OutOfStock"]
    assert (order["queue"], order["source"], order["kind"]) == ("poison-jobs", "http", "order")
    assert order["correlationId"] == jobs.ended(order["jobId"])["correlationId"]

    def found(**params) -> set[str]:
        answer = jobs.shop.get("/api/dead-letters", params=params).raise_for_status()
        return {letter["reason"] for letter in answer.json()["deadLetters"]}

    assert found(reason="NotAJob") == {"NotAJob"}
    assert found(kind="order") == {"OutOfStock", "InvalidInput"}
    assert found(kind="order", reason="NotAJob") == found(olderThan="1h") == set()
    assert found(olderThan="0s") == set(letters)
    assert len(found(top="2")) == 2


def test_what_failed_is_shown_only_when_asked_for(jobs, letters):
    letter = letters["InvalidInput"]
    path = f"/api/dead-letters/{letter['id']}"
    shown = jobs.shop.get(path)
    assert shown.json() == letter
    assert SECRET not in shown.text + json.dumps(letters)
    shown = jobs.shop.get(path, params={"body": "true"})
    assert json.loads(shown.json()["body"])["input"]["card"] == SECRET
    assert shown.headers["cache-control"] == "no-store"


def test_a_letter_is_thrown_away_with_what_failed(jobs, bus, letters):
    (body,) = (letter.properties["body"] for letter in bus.dead() if letter.reason == "InvalidInput")
    path = f"/api/dead-letters/{letters['InvalidInput']['id']}"
    answer = jobs.shop.request("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert jobs.shop.get(path).status_code == jobs.shop.request("DELETE", path).status_code == 404
    assert {letter.reason for letter in bus.dead()} == {"OutOfStock", "NotAJob"}
    with BlobServiceClient.from_connection_string(jobs.storage) as blobs:
        assert not blobs.get_blob_client("dead-letters", body).exists()


def test_what_is_not_there(jobs, monkeypatch):
    monkeypatch.setattr(sys.modules["jobs.replay"], "PATIENCE", 0.1)
    for params in ({"top": "0"}, {"top": "x"}, {"olderThan": "soon"}, {"olderThan": "-1h"}):
        answer = jobs.shop.get("/api/dead-letters", params=params)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert jobs.shop.get("/api/dead-letters", params={"olderThan": "999999d"}).json() == {"deadLetters": []}
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/replay")):
        for id in ("poison-jobs-99999", "cake-1", "poison-jobs-x", "%20", "replay"):
            answer = jobs.shop.request(method, f"/api/dead-letters/{id}{path}")
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
