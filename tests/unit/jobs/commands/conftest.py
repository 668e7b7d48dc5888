"""What tests of commands share: storage, and an HTTP API that answers as it was told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from jobs.settings import settings

Answer = tuple[int, Any]


class FakeApi:
    """Answers by method and path, and what was asked. A list of answers is given one by one, its last for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | list[Answer] | Callable[[dict[str, str]], Answer]] = {}
        self.asked: list[str] = []
        self.keys: set[str | None] = set()

    def job(self, name: str, *states: str, **fields: Any) -> None:
        """A job that is in one state after the other."""
        kind, id = name.split("/")
        shown = [(200, {"kind": kind, "id": id, "status": state, **fields}) for state in states]
        self.answers[f"GET /api/jobs/{name}"] = shown

    def refuse(self, request: str, status: int, title: str, detail: str) -> None:
        self.answers[request] = status, {"title": title, "status": status, "detail": detail}

    def answer(self, request: str, query: dict[str, str], key: str | None) -> Answer:
        self.asked.append(request)
        self.keys.add(key)
        answer = self.answers.get(request, (404, {"title": "No such job", "status": 404, "detail": "there is no job"}))
        if callable(answer):
            return answer(query)
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer


@pytest.fixture
def at_azurite(azurite, monkeypatch, tmp_path) -> Iterator[None]:
    """Commands work with Azurite, and find no local.settings.json."""
    monkeypatch.setenv("AzureWebJobsStorage", azurite.connection_string)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def api(monkeypatch, tmp_path) -> Iterator[FakeApi]:
    """The API that NIGHTSHIFT_URL leads to."""
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            key = self.headers["x-functions-key"]
            status, content = fake.answer(f"{self.command} {url.path}", dict(parse_qsl(url.query)), key)
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("NIGHTSHIFT_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.delenv("NIGHTSHIFT_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()
    settings.cache_clear()
