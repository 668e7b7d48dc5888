"""One job after the other, and a bus that delivers what the app tells itself, in a time of its own."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from activities import closing
from jobs import clock, delivery, intake, ledger, status
from jobs.call import Call
from jobs.delivery import Message
from jobs.entry import JobRef
from jobs.job import open_envelope, parse
from tests.orders import order
from tests.unit.jobs.fake_bus import FakeBus, Received
from tests.unit.jobs.receivers import Receiver

KEY = b"a key of 24 bytes or more"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
NOTHING_ASKED = {"callbackUrl": None, "replyTo": None}


def settings_for(receiver: Receiver) -> dict[str, str]:
    """The app's settings for callbacks to that receiver, which are tried again after 1, 3, 9… seconds."""
    return {
        "AzureWebJobsServiceBus": "Endpoint=sb://127.0.0.1:1;UseDevelopmentEmulator=true;",
        "WEBHOOK_SECRET": SECRET,
        "CALLBACK_ALLOWED_HOSTS": f"127.0.0.1:{receiver.port}",
        "CALLBACK_TIMEOUT": "2",
        "DELIVERY_FIRST_PAUSE": "1",
    }


class World:
    """Orders that ask to be called back, unless a test says otherwise, and what they told whom."""

    def __init__(self, bus: FakeBus, receiver: Receiver, durable: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus, self.receiver, self.durable = bus, receiver, durable
        self.now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: self.now)

    async def submit(self, **more: Any) -> JobRef:
        fields = {"kind": "order", "id": uuid4().hex, "input": order("c-1"), "callbackUrl": self.receiver.url}
        job = parse(open_envelope({name: value for name, value in (fields | more).items() if value is not None}))
        return (await intake.submit(job, self.durable)).entry.job

    async def end(self, job: JobRef, state: str = "Completed", **more: Any) -> None:
        given = {"state": state, "run": None, "jobInput": {}, "result": {"total": 5}} | more
        await closing.end(Call(job, "end_job", given))

    def waiting(self) -> list[Received]:
        return self.bus.queues["deliveries"].active

    async def deliver(self, message: Received) -> None:
        """Deliver a message, when its time has come."""
        self.now = max(self.now, message.scheduled_enqueue_time_utc or self.now)
        said = Message(message.message_id, 1, is_last=False, enqueued_at=ledger.now())
        await delivery.receive(b"".join(message.body), said)
        if message in self.waiting():
            self.waiting().remove(message)

    async def deliver_all(self) -> int:
        """Deliver until nothing waits. Returns how many messages that took."""
        count = 0
        while self.waiting():
            await self.deliver(min(self.waiting(), key=lambda each: each.scheduled_enqueue_time_utc or self.now))
            count += 1
        return count

    async def shown(self, job: JobRef) -> dict[str, Any]:
        return (await status.describe(await ledger.get(job.kind, job.id), None))["deliveries"]

    def replies(self) -> list[Received]:
        return self.bus.queues["replies"].active

    def events(self, job: JobRef) -> list[str]:
        """The ids of the events of the job's ends."""
        told = [b"".join(each.body) for each in self.bus.queues["job-events"].active]
        return [json.loads(each)["id"] for each in told if job.id.encode() in each and b"started" not in each]
