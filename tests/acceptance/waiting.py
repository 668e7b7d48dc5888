"""What waits, and for whom: a receiver of callbacks, the approvers' mails, and jobs seen by their statuses."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
from standardwebhooks import Webhook

from sandbox.in_process import Sandbox
from tests.acceptance.processes import HostProcess, wait_until

FIRST, SECOND = "first@nightshift.example", "second@nightshift.example"
LINK = re.compile(r"https?://\S+/api/approvals/\S+")


class Receiver:
    """Takes callbacks and refuses them with 500, until it `is_willing`."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.is_willing = False
        self.tries: list[tuple[int, str, dict[str, Any]]] = []
        """What was answered, the `webhook-id`, and the verified body."""

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Its host and port."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told = Webhook(receiver._secret).verify(body, dict(self.headers))
                answer = 204 if receiver.is_willing else 500
                receiver.tries.append((answer, self.headers["webhook-id"], told or json.loads(body)))
                self.send_response(answer)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the test says what it needs."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            Thread(target=server.serve_forever, name="receiver", daemon=True).start()
            yield f"127.0.0.1:{server.server_address[1]}"
            server.shutdown()


class Jobs:
    """The jobs of one host, and what is seen of them outside."""

    def __init__(self, host: HostProcess, sandbox: Sandbox) -> None:
        self._host = host
        self._sandbox = sandbox

    def submit(self, kind: str, id: str, input: dict[str, Any], **parameters: str) -> None:
        url = f"{self._host.url}/api/jobs/{kind}"
        answer = httpx.post(url, json=input, params=parameters, headers={"Idempotency-Key": id}, timeout=30)
        assert answer.status_code == 202, answer.text

    def status(self, kind: str, id: str) -> dict[str, Any]:
        answer = httpx.get(f"{self._host.url}/api/jobs/{kind}/{id}", timeout=30)
        return answer.json() if answer.status_code == 200 else {"status": None}

    def waits(self, kind: str, id: str, what: str) -> dict[str, Any]:
        """The status of a job, as soon as it waits for that."""

        def found() -> dict[str, Any] | None:
            status = self.status(kind, id)
            return status if status.get("waitingFor") == what else None

        return wait_until(found, f"{kind} {id} waits for {what}", pause=0.1)

    def ended(self, kind: str, id: str) -> dict[str, Any]:
        """The status of a job, as soon as it is Completed."""

        def found() -> dict[str, Any] | None:
            status = self.status(kind, id)
            assert status["status"] not in ("Failed", "Cancelled"), status
            return status if status["status"] == "Completed" else None

        return wait_until(found, f"{kind} {id} ends", pause=0.1)

    def callback(self, id: str) -> dict[str, Any]:
        """How far the callback of an order is."""
        return self.status("order", id)["deliveries"]["callback"]

    def questions(self, to: str, kind: str, id: str) -> list[str]:
        """The subjects of an approver's mails about a job, without the question itself."""
        return [mail["subject"].partition(" (")[0] for mail in self._asked(to, kind, id)]

    def expects(self, to: str, kind: str, id: str, *subjects: str) -> None:
        """Wait until an approver was mailed just that about a job."""
        wait_until(
            lambda: self.questions(to, kind, id) == list(subjects), f"{to} is told of {id}: {subjects}", pause=0.1
        )

    def vote(self, to: str, kind: str, id: str, decision: str) -> None:
        """By the link in an approver's last mail about a job."""
        link = LINK.search(self._asked(to, kind, id)[-1]["text"])[0]
        answer = httpx.post(link, json={"decision": decision, "reason": "Seen."}, timeout=30)
        assert answer.status_code == 200, answer.text

    def expires_at(self, id: str) -> datetime:
        """When an approval is decided by default."""
        answer = httpx.get(f"{self._host.url}/api/approvals", params={"state": "Open"}, timeout=30)
        found = {each["id"]: each["expiresAt"] for each in answer.json()["approvals"]}
        return datetime.fromisoformat(found[id])

    def parcel_of(self, order: str) -> str:
        """The number of an order's parcel, as soon as it is booked."""
        found = wait_until(lambda: self._sandbox.parcels(f"order-{order}")["parcels"], f"{order} has a parcel")
        assert len(found) == 1
        return found[0]["id"]

    def booked(self, order: str) -> Counter[str]:
        """The kinds of an order's entries at the payment gateway."""
        return Counter(entry["kind"] for entry in self._sandbox.ledger(f"order-{order}")["entries"])

    def mails(self, to: str) -> list[str]:
        """The subjects of all mails to somebody, none of which came twice."""
        box = self._sandbox.mailbox(to)
        assert box["duplicates"] == 0
        return [mail["subject"] for mail in box["messages"]]

    def _asked(self, to: str, kind: str, id: str) -> list[dict[str, Any]]:
        return [mail for mail in self._sandbox.mailbox(to)["messages"] if f"({kind} {id})" in mail["subject"]]
