"""Results that find their way back: by callback and reply, from every door, however the job ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from standardwebhooks import Webhook

from tests.acceptance.processes import wait_until
from tests.integration.jobs_seen import fresh

SECRET = f"whsec_{base64.b64encode(b'known to the tests and to nobody else').decode()}"
TOKEN = "token=c4llb4ck"


class Receiver:
    """A server on this machine that is called back, verifies what it gets, and answers as a test tells it to."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got: list[tuple[str, dict]] = []
        """Of each request, `webhook-id` and body."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.headers["webhook-id"], Webhook(SECRET).verify(body, dict(self.headers))))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?{TOKEN}"

    def of(self, id: str) -> list[str]:
        """The types of what came about a job."""
        return [body["type"] for _, body in self.got if body["data"]["id"] == id]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def jobs(open_shop, jobs_of):
    settings = {"WEBHOOK_SECRET": SECRET, "CALLBACK_ALLOWED_HOSTS": "127.0.0.1", "DELIVERY_FIRST_PAUSE": "0.1"}
    return jobs_of(open_shop(**settings))


@pytest.fixture
def replies(service_bus) -> Iterator[list]:
    """Call it for the replies that wait, which it takes."""
    with ServiceBusClient.from_connection_string(service_bus.connection_string) as client:
        receiver = client.get_queue_receiver("replies")

        def take(count: int) -> list:
            found: list = []
            while len(found) < count and (some := receiver.receive_messages(count, max_wait_time=5)):
                for message in some:
                    receiver.complete_message(message)
                found += some
            return found

        yield take
        with ThreadPoolExecutor(1) as pool:
            pool.submit(receiver.close)


def post(jobs, id: str, input=None, *, kind: str = "order", **query: str):
    given = jobs.order(id) if input is None else input
    return jobs.shop.post(f"/api/jobs/{kind}", json=given, params=query, headers={"Idempotency-Key": id})


def states(jobs, id: str, kind: str = "order") -> dict[str, str]:
    return {channel: said["state"] for channel, said in jobs.status(id, kind).get("deliveries", {}).items()}


def test_every_end_is_told_to_whoever_asked(jobs, bus, receiver, replies, caplog):
    caplog.set_level("INFO")
    done, refused, delayed, letter, from_bus = (fresh(name) for name in ("done", "no", "late", "letter", "bus"))
    receiver.statuses = [500, 302]
    answer = post(jobs, done, callbackUrl=receiver.url, replyTo="replies")
    assert answer.status_code == 202
    assert answer.json()["deliveries"] == {
        "callback": {"state": "Pending", "attempts": 0, "host": "127.0.0.1"},
        "reply": {"state": "Pending", "attempts": 0},
    }
    post(jobs, refused, jobs.order(refused, quantity=1000), callbackUrl=receiver.url)
    post(jobs, delayed, notBefore="2026-12-31T00:00:00Z", callbackUrl=receiver.url)
    assert jobs.shop.post(f"/api/jobs/order/{delayed}/cancel").status_code == 202
    mail = {"to": f"{letter}@example.com", "subject": "s", "text": "t"}
    jobs.send(letter, mail, kind="mail", callbackUrl=receiver.url)
    body = json.dumps({"kind": "analytics", "input": {"event": "seen"}})
    bus.send("jobs", ServiceBusMessage(body, message_id=from_bus, reply_to="replies"))

    asked = {done: "order", refused: "order", delayed: "order", letter: "mail", from_bus: "analytics"}
    wait_until(
        lambda: all(set(states(jobs, id, kind).values()) == {"Delivered"} for id, kind in asked.items()),
        "all of it is delivered",
        pause=0.1,
    )
    jobs.shop.drain()
    # Two of them were refused at first, and came again under their ids.
    assert len(receiver.got) == 4 + 2
    assert len({id for id, _ in receiver.got}) == 4
    ends = {id: receiver.of(id)[-1] for id in (done, refused, delayed, letter)}
    assert list(ends.values()) == ["job.completed", "job.failed", "job.cancelled", "job.completed"]
    found = {str(message.correlation_id): message for message in replies(2)}
    assert set(found) == {answer.json()["correlationId"], from_bus}
    told = json.loads(str(found[from_bus]))
    assert (told["kind"], told["id"], told["status"]) == ("analytics", from_bus, "Completed")
    assert found[from_bus].application_properties[b"status"] == b"Completed"
    shown = jobs.status(done)["deliveries"]["callback"]
    assert (shown["state"], shown["host"]) == ("Delivered", "127.0.0.1")
    assert TOKEN not in caplog.text + json.dumps(jobs.status(done)) + str(bus.dead())
    assert jobs.shop.failures == []


def test_wrong_places_are_refused(jobs):
    for query, field in (
        ({"callbackUrl": "https://169.254.169.254/metadata?token=x"}, "callbackUrl"),
        ({"callbackUrl": "http://example.com/"}, "callbackUrl"),
        ({"replyTo": "jobs"}, "replyTo"),
    ):
        answer = post(jobs, fresh("wrong"), **query)
        assert answer.status_code == 400, answer.text
        assert [each["field"] for each in answer.json()["errors"]] == [field]
        assert "token" not in answer.text
