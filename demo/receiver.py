"""The server of somebody who asked to be called back: it fails at first, and then checks what it is told."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


@dataclass(slots=True)
class Heard:
    """The webhooks about one job."""

    tries: Counter[str] = field(default_factory=Counter)
    """By webhook-id."""
    accepted: list[str] = field(default_factory=list)
    """The job's status, of each that was accepted."""
    forged: int = 0

    def __str__(self) -> str:
        tries = sum(self.tries.values())
        if self.forged or len(self.tries) != 1 or len(self.accepted) != 1:
            return f"{tries} tries, {len(self.tries)} webhooks, {len(self.accepted)} accepted, {self.forged} forged"
        return f"{self.accepted[0]}, accepted once, at try {tries}"


class Receiver:
    """`with Receiver(secret) as receiver:` listens on a free port of this machine."""

    def __init__(self, secret: str) -> None:
        """`secret`: the one by which the app signs, `whsec_…`."""
        self._webhook = Webhook(secret)
        self.heard: dict[str, Heard] = {}
        """By the id of the job."""

    def __enter__(self) -> Receiver:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, name="receiver", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, job_id: str) -> str:
        """Where to call back about a job."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{job_id}"

    def _take(self, job_id: str, headers: dict[str, str], body: bytes) -> int:
        heard = self.heard.setdefault(job_id, Heard())
        try:
            told = self._webhook.verify(body, headers, json_parse=False) or json.loads(body)
        except WebhookVerificationError:
            heard.forged += 1
            return 401
        heard.tries[headers.get("webhook-id", "")] += 1
        if sum(heard.tries.values()) == 1:
            return 500
        heard.accepted.append(told["data"]["status"])
        return 204

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(take(self.path.strip("/"), headers, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the demo prints what was heard."""

        return Handler
