"""The sandbox's parcel carrier: booked once, moved on request or by itself, each movement told and signed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from standardwebhooks import Webhook

from sandbox import Sandbox

SECRET = "whsec_c2lnbmVkIGJ5IHRoZSBjYXJyaWVy"


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url) as client:
        yield client


@pytest.fixture
def told() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A webhook's URL, and what arrived there."""
    seen: list[tuple[dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", seen
        server.shutdown()


def book(http: httpx.Client, key: str = "k", reference: str = "order-A-1") -> httpx.Response:
    return http.post("/carrier/parcels", json={"reference": reference}, headers={"Idempotency-Key": key})


def test_a_parcel_is_booked_once_and_tells_where_it_was(http):
    booked = book(http)
    parcel = booked.json()
    assert (booked.status_code, parcel["state"], parcel["sequence"]) == (201, "announced", 1)
    assert book(http).json() == parcel
    assert book(http, reference="order-A-2").status_code == 422
    assert http.post("/carrier/parcels", json={"reference": "r"}).json()["code"] == "key_missing"

    for state in ("collected", "collected", "in-transit"):
        moved = http.post(f"/carrier/parcels/{parcel['id']}/events", json={"state": state})
    assert moved.json() == {"id": parcel["id"], "state": "in-transit", "sequence": 3, "webhook": []}
    seen = http.get(f"/carrier/parcels/{parcel['id']}").json()
    assert [(event["sequence"], event["state"]) for event in seen["events"]] == [
        (1, "announced"),
        (2, "collected"),
        (3, "in-transit"),
    ]
    assert (seen["state"], seen["sequence"]) == ("in-transit", 3)


def test_a_parcel_at_its_end_goes_nowhere(http):
    path = f"/carrier/parcels/{book(http).json()['id']}/events"
    assert http.post(path, json={"state": "returned"}).status_code == 200
    assert http.post(path, json={"state": "returned"}).status_code == 200
    assert http.post(path, json={"state": "in-transit"}).status_code == 409
    assert http.post(path, json={"state": "lost"}).status_code == 400
    assert http.post("/carrier/parcels/PX0/events", json={"state": "collected"}).status_code == 404
    assert http.get("/carrier/parcels/PX0").status_code == 404


def test_faults_hit_the_carrier_and_not_the_gateway(http, sandbox):
    parcel = book(http).json()["id"]
    sandbox.fault({"when": {"operation": "track", "reference": "order-A-1"}, "fault": "error", "times": 1})
    sandbox.fault({"when": {"operation": "track"}, "fault": "rubbish", "times": 1})
    answers = [http.get(f"/carrier/parcels/{parcel}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 200, 200]
    assert answers[1].headers["Content-Type"].startswith("text/html")
    seen = sandbox.carrier_requests("order-A-1")["requests"]
    assert [(request["operation"], request["fault"]) for request in seen] == [
        ("book", None),
        ("track", "error"),
        ("track", "rubbish"),
        ("track", None),
    ]
    assert sandbox.requests()["requests"] == []


def test_each_movement_is_told_and_signed(http, sandbox, told):
    url, seen = told
    assert http.put("/carrier/webhook", json={"url": url, "secret": SECRET}).status_code == 204
    parcel = book(http).json()["id"]
    assert sandbox.move_parcel(parcel, "collected")["webhook"] == [202]
    ((headers, body),) = seen
    Webhook(SECRET).verify(body, headers)
    data = json.loads(body)["data"]
    assert (data["id"], data["state"], data["sequence"]) == (parcel, "collected", 2)

    sandbox.fault({"when": {"operation": "webhook"}, "fault": "duplicate", "times": 1})
    sandbox.fault({"when": {"operation": "webhook"}, "fault": "lost", "times": 1})
    assert sandbox.move_parcel(parcel, "in-transit")["webhook"] == [202, 202]
    assert sandbox.move_parcel(parcel, "delivered")["webhook"] == []
    assert seen[1][0]["webhook-id"] == seen[2][0]["webhook-id"] != seen[0][0]["webhook-id"]
    assert http.put("/carrier/webhook", json={"url": "ftp://x", "secret": SECRET}).status_code == 400

    http.delete("/state")
    assert sandbox.move_parcel(sandbox.book_parcel("another"), "collected")["webhook"] == []


def test_a_parcel_can_travel_by_itself(http, sandbox):
    assert http.put("/carrier/journey", json={"seconds": 0.02}).status_code == 204
    parcel = book(http).json()["id"]
    book(http)
    end = time.monotonic() + 100
    while (seen := http.get(f"/carrier/parcels/{parcel}").json())["state"] != "delivered":
        assert time.monotonic() < end, seen
    assert len(seen["events"]) == 5
    assert http.put("/carrier/journey", json={"seconds": None}).status_code == 204
    assert http.put("/carrier/journey", json={"seconds": 0}).status_code == 400
    book(http, "still")
    assert [each["state"] for each in sandbox.parcels()["parcels"]] == ["delivered", "announced"]
