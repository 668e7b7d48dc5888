"""What the demo tries: each job, its door, what goes wrong on purpose, and how it must end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.processes import ROOT

SAMPLES = ROOT / "samples"
HTTP = "http"
BUS = "bus"
ORDER = "order"
"""The door of what the app starts itself, because an order was sold."""
CONTAINERS = ("photos", "order-imports")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One submission. `expected` is the outcome in the words of `demo.outcomes`."""

    id: str
    door: str
    """`http`, `bus` for the Service Bus queue, `order`, or the name of a storage queue or of a container."""
    story: str
    expected: str
    kind: str = "order"
    sample: str = ""
    """The file with the input, under samples/; left out: the order of this id."""
    faults: tuple[dict[str, Any], ...] = ()
    """What the sandbox is told beforehand; each hits this order's customer only."""
    copies: int = 1
    """How often the queue delivers the message."""
    cancel_at: str | None = None
    """The step at which the demo asks for the job to be cancelled."""
    replayed: str | None = None
    """The outcome after the faults are gone and the job's dead letter is replayed."""
    after: str | None = None
    """The order that must have been sold before."""
    vote: str | None = None
    """What the demo's approver says when asked by mail: `approve` or `reject`."""
    calls_back: bool = False
    """Whether the demo's own server asks to be told how it ends."""
    replies: bool = False
    """Whether the message asks for a reply."""
    delay: int = 0
    """Seconds before which it must not start."""

    @property
    def path(self) -> Path:
        """The sample's file."""
        return SAMPLES / (self.sample or f"orders/{self.id}.json")

    @property
    def content(self) -> str:
        """The sample as it lies in its file."""
        return self.path.read_text()

    @property
    def is_upload(self) -> bool:
        """Whether a file is put into a container, which makes it a job."""
        return self.door in CONTAINERS

    @property
    def letter(self) -> tuple[str, str] | None:
        """Reason and source of the dead letter that it must leave behind; None for what leaves none."""
        source = {HTTP: HTTP, BUS: "servicebus:jobs"}.get(self.door, f"storage:{self.door}")
        if self.is_upload:
            source = f"blob:{self.door}/{self.path.name}"
        if self.expected == REFUND_OPEN:
            return "JobCancelled", source
        state, _, reason = self.expected.partition(": ")
        return (reason, source) if state in ("Failed", DEAD_LETTER) else None

    @property
    def message(self) -> str:
        """What goes into the queue: the job as JSON, or the sample itself when it is no job."""
        if not self.sample.endswith(".json") and self.sample:
            return self.content
        job = {"kind": self.kind, "id": self.id, "input": json.loads(self.content)}
        if self.delay:
            job["notBefore"] = (datetime.now(UTC) + timedelta(seconds=self.delay)).isoformat()
        return json.dumps(job)


def fault(kind: str, operation: str, **more: Any) -> dict[str, Any]:
    """A fault as POST /faults takes it, still without the one it is for."""
    return {"fault": kind, "when": {"operation": operation}, **more}


DECLINES = (fault("decline", "authorize"),)
FAILS_TWICE = (fault("error", "charge", times=2),)
NOT_REACHED = (fault("drop_before", "authorize", times=1),)
ANSWER_LOST = (fault("drop_after", "charge", times=1),)
BUSY = (fault("throttle", "authorize", times=1, retryAfter=3),)
MAIL_ANSWER_LOST = (fault("drop_after", "mail", times=1),)
SLOW = (fault("slow", "charge", delay=4, times=1),)
SLOW_AND_NO_REFUND = (*SLOW, fault("decline", "refund"))
PAYING = "charge_payment"
DEAD_LETTER = "dead letter"
REFUND_OPEN = "Failed, refund open"
BAD = "bad/order.json"

GROUPS: dict[str, tuple[Scenario, ...]] = {
    "chaining": (
        Scenario("A-1001", HTTP, "a lamp and some tea", "Completed"),
        Scenario("A-1002", HTTP, "four lines; calls back", "Completed", calls_back=True),
        Scenario("A-1003", "jobs", "its message comes twice", "Completed", copies=2),
        Scenario("A-1004", "jobs-urgent", "urgent, passes the rest", "Completed"),
        Scenario("A-1014", BUS, "a message with ReplyTo", "Completed", replies=True),
    ),
    "failure": (
        Scenario("A-1005", HTTP, "5 wanted, 3 in stock", "Failed: OutOfStock"),
        Scenario("A-1006", "jobs", "the bank declines", "Failed: CardDeclined", faults=DECLINES),
        Scenario(
            "A-1015",
            BUS,
            "card blocked for a while",
            "Failed: CardDeclined",
            faults=DECLINES,
            replayed="Completed",
        ),
    ),
    "retry": (
        Scenario("A-1007", HTTP, "gateway fails twice", "Completed", faults=FAILS_TWICE),
        Scenario("A-1008", "jobs", "charged, but answer lost", "Completed", faults=ANSWER_LOST),
        Scenario("A-1009", HTTP, "gateway busy for 3 s", "Completed", faults=BUSY),
        Scenario("A-1010", HTTP, "mail sent, answer lost", "Completed", faults=MAIL_ANSWER_LOST),
        Scenario("A-1011", "jobs-urgent", "connection breaks first", "Completed", faults=NOT_REACHED),
    ),
    "saga": (
        Scenario("A-1012", HTTP, "cancelled while paying", "Cancelled", faults=SLOW, cancel_at=PAYING),
        Scenario(
            "A-1013",
            HTTP,
            "the same, refund refused",
            REFUND_OPEN,
            faults=SLOW_AND_NO_REFUND,
            cancel_at=PAYING,
        ),
    ),
    "human": (
        Scenario("A-1016", HTTP, "a bed; approved by mail", "Completed", vote="approve"),
        Scenario("A-1017", "jobs", "two beds; rejected", "Failed: ApprovalRejected", vote="reject"),
        Scenario("A-1018", BUS, "a bed; nobody answers", "Failed: ApprovalRejected"),
        Scenario(
            "R-1",
            HTTP,
            "10.00 back for A-1001",
            "Completed",
            kind="refund",
            sample="jobs/refund.json",
            after="A-1001",
            vote="approve",
        ),
        Scenario(
            "R-2",
            HTTP,
            "more than was charged",
            "Failed: RefundTooLarge",
            kind="refund",
            sample="jobs/refund-too-large.json",
            after="A-1001",
        ),
    ),
    "monitor": (Scenario("S-1", ORDER, "the parcel of A-1001", "Completed", kind="shipment", after="A-1001"),),
    "fan-out": (
        Scenario("P-1", "photos", "thumbnails of a photo", "Completed", kind="photo", sample="photos/raccoon.jpg"),
        Scenario(
            "P-2",
            "photos",
            "a web page named .jpg",
            "Failed: NotAPhoto",
            kind="photo",
            sample="bad/not-a-photo.jpg",
        ),
        Scenario(
            "I-1",
            "order-imports",
            "20 orders, 3 of them bad",
            "Completed",
            kind="order-import",
            sample="imports/orders.csv",
        ),
    ),
    "activity": (
        Scenario("M-1", HTTP, "a mail", "Completed", kind="mail", sample="jobs/mail.json"),
        Scenario("E-1", "jobs", "an event to count", "Completed", kind="analytics", sample="jobs/analytics.json"),
        Scenario(
            "E-2", "jobs", "the like, 3 s later", "Completed", kind="analytics", sample="jobs/analytics.json", delay=3
        ),
    ),
    "bad input": (
        Scenario("A-1001", HTTP, "sent once more", "200, the same job"),
        Scenario("A-1001", HTTP, "same id, other input", "409 The id is taken", sample="orders/A-1002.json"),
        Scenario("B-1", HTTP, "three fields wrong", "400 Invalid input", sample=BAD),
        Scenario("B-2", HTTP, "unknown kind", "404 Unknown kind", kind="haircut", sample=BAD),
        Scenario("B-3", "jobs", "not JSON", "dead letter: NotAJob", sample="bad/not-a-job.txt"),
        Scenario("B-4", "jobs", "three fields wrong", "dead letter: InvalidInput", sample=BAD),
        Scenario("B-5", "jobs-urgent", "unknown kind", "dead letter: UnknownKind", kind="haircut", sample=BAD),
        Scenario("B-6", BUS, "not JSON", "dead letter: NotAJob", sample="bad/not-a-job.txt"),
    ),
}
"""By the pattern that they show."""
