"""The app as the demo reaches it: over HTTP and through its storage queues, and never by import."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from demo.scenarios import HTTP, Scenario

QUEUES = ("jobs", "jobs-urgent")


class Shop:
    """A client of the running app; use as a context manager."""

    def __init__(self, url: str, connection_string: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api", timeout=30)
        names = [*QUEUES, *(f"{name}-poison" for name in QUEUES)]
        self._queues = {name: QueueClient.from_connection_string(connection_string, name) for name in names}

    def __enter__(self) -> Shop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()
        for queue in self._queues.values():
            queue.close()

    def submit(self, scenario: Scenario) -> httpx.Response | None:
        """Bring a job to its door. A queue gives no answer."""
        if scenario.door == HTTP:
            headers = {"Idempotency-Key": scenario.id, "Content-Type": "application/json"}
            return self._http.post(f"/jobs/{scenario.kind}", content=scenario.content.encode(), headers=headers)
        for _ in range(scenario.copies):
            self._queues[scenario.door].send_message(scenario.message)
        return None

    def status(self, scenario: Scenario) -> dict[str, Any] | None:
        """What the app says of a job; None while it knows none of that id."""
        answer = self._http.get(f"/jobs/{scenario.kind}/{scenario.id}")
        return answer.json() if answer.status_code == 200 else None

    def cancel(self, scenario: Scenario) -> None:
        """Ask for a job to be cancelled. Raises httpx.HTTPStatusError when it is too late."""
        self._http.post(f"/jobs/{scenario.kind}/{scenario.id}/cancel").raise_for_status()

    def poison(self) -> dict[str, set[str]]:
        """The messages that rest in each poison queue, which the host makes when it needs it."""
        return {name: self._peek(queue) for name, queue in self._queues.items() if name.endswith("-poison")}

    def _peek(self, queue: QueueClient) -> set[str]:
        try:
            return {message.content for message in queue.peek_messages(max_messages=32)}
        except ResourceNotFoundError:
            return set()
