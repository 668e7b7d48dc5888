"""The app as the demo reaches it: over HTTP and through its queues, and never by import."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import TracebackType
from typing import Any

import httpx
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiveMode
from azure.storage.queue import QueueClient

from demo.scenarios import BUS, HTTP, Scenario

QUEUES = ("jobs", "jobs-urgent")
REPLIES = "replies"
TAKE = ServiceBusReceiveMode.RECEIVE_AND_DELETE


class Shop:
    """A client of the running app; use as a context manager."""

    def __init__(self, url: str, storage: str, bus: str, command: Callable[..., str], sandbox: httpx.Client) -> None:
        """`storage`, `bus`: connection strings. `command`: runs an operator's command. `sandbox`: has the carrier."""
        self._sandbox = sandbox
        self._command = command
        self._http = httpx.Client(base_url=f"{url}/api", timeout=30)
        self._queues = {name: QueueClient.from_connection_string(storage, name) for name in QUEUES}
        self._bus = ServiceBusClient.from_connection_string(bus)

    def __enter__(self) -> Shop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()
        self._bus.close()
        for queue in self._queues.values():
            queue.close()

    def submit(self, scenario: Scenario, callback_url: str | None = None) -> httpx.Response | str:
        """Bring a job to its door: the answer of HTTP, or the id of its message in a queue."""
        if scenario.door == HTTP:
            headers = {"Idempotency-Key": scenario.id, "Content-Type": "application/json"}
            return self._http.post(
                f"/jobs/{scenario.kind}",
                content=scenario.content.encode(),
                headers=headers,
                params={"callbackUrl": callback_url} if callback_url else {},
            )
        if scenario.door == BUS:
            reply_to = REPLIES if scenario.replies else None
            with self._bus.get_queue_sender("jobs") as sender:
                sender.send_messages(ServiceBusMessage(scenario.message, message_id=scenario.id, reply_to=reply_to))
            return scenario.id
        sent = [self._queues[scenario.door].send_message(scenario.message) for _ in range(scenario.copies)]
        return sent[0].id

    def upload(self, scenario: Scenario) -> str:
        """Put a file into a container as an operator does; the id of the job that it makes."""
        (made,) = json.loads(self._command("upload", scenario.door, str(scenario.path), "--json"))
        return made["id"]

    def status(self, kind: str, id: str) -> dict[str, Any] | None:
        """What the app says of a job; None while it knows none of that id."""
        answer = self._http.get(f"/jobs/{kind}/{id}")
        return answer.json() if answer.status_code == 200 else None

    def jobs(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What the app says of every job, or of those of one kind."""
        params = {"top": 1000} | ({"kind": kind} if kind else {})
        return self._http.get("/jobs", params=params).raise_for_status().json()["jobs"]

    def parcels(self, reference: str | None = None) -> list[dict[str, Any]]:
        """What the carrier says of every parcel, or of those with a reference."""
        params = {"reference": reference} if reference else {}
        return self._sandbox.get("/carrier/parcels", params=params).raise_for_status().json()["parcels"]

    def parcel_of(self, order_id: str) -> str | None:
        """The number of an order's parcel, which is the id of its shipment job; None until it is booked."""
        return next((parcel["id"] for parcel in self.parcels(f"order-{order_id}")), None)

    def replies(self) -> list[tuple[str, str]]:
        """The replies that are there: the correlation id of each, and the status that it tells."""
        with self._bus.get_queue_receiver(REPLIES, receive_mode=TAKE) as receiver:
            found = receiver.receive_messages(max_message_count=10, max_wait_time=0.5)
        return [(message.correlation_id, json.loads(str(message))["status"]) for message in found]

    def events(self) -> list[dict[str, Any]]:
        """The events of jobs that wait in the topic's subscription for everybody."""
        found = []
        with self._bus.get_subscription_receiver("job-events", "audit", receive_mode=TAKE) as receiver:
            while batch := receiver.receive_messages(max_message_count=250, max_wait_time=1):
                found += [json.loads(str(message)) for message in batch if message.subject != "alert"]
        return found

    def report_sales(self, day: str, seconds: int) -> dict[str, Any]:
        """Have the sales of a day reported once more, and wait for it; the status of the job."""
        headers = {"Prefer": f"wait={seconds}"}
        asked = self._http.post("/jobs/sales-report", json={"day": day, "force": True}, headers=headers)
        return asked.raise_for_status().json()

    def download(self, url: str) -> bytes:
        """What is behind a link of a status."""
        return self._http.get(url).raise_for_status().content

    def cancel(self, scenario: Scenario) -> None:
        """Ask for a job to be cancelled. Raises httpx.HTTPStatusError when it is too late."""
        self._http.post(f"/jobs/{scenario.kind}/{scenario.id}/cancel").raise_for_status()

    def dead_letters(self) -> list[dict[str, Any]]:
        """What could not be done, and why."""
        return self._http.get("/dead-letters").raise_for_status().json()["deadLetters"]
