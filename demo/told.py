"""What the app has told of its own accord: a webhook, a reply, mails at each change of a parcel, an event a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from demo.outcomes import FINAL
from demo.receiver import Receiver
from demo.shop import Shop

UNANSWERED = ["Approval wanted", "Reminder", "Approval wanted", "Reminder"]
"""The mails about a question that nobody answers: two approvers, each asked and reminded."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was heard outside the app, and what should have been."""

    callback: str
    reply: str
    parcels: tuple[int, int]
    """How many there are, and how many of them are delivered."""
    changes: int
    """How often a parcel has come to another state."""
    news: int
    """Mails about that."""
    unanswered: tuple[str, ...]
    """The beginnings of the mails about the order for which nobody answered."""
    events: int
    untold: tuple[str, ...]
    """Jobs of whose end there is no event."""

    def lines(self) -> Iterator[tuple[bool, str]]:
        """One sentence each, and whether that is as it should be."""
        yield "accepted once, at try 2" in self.callback, f"the webhook about A-1002: {self.callback}"
        yield self.reply == "A-1014: Completed", f"the reply to the message of A-1014: {self.reply}"
        count, delivered = self.parcels
        is_right = count == delivered > 0 and self.news == self.changes
        yield is_right, f"{delivered} of {count} parcels delivered; {self.news} mails at {self.changes} changes"
        asked = sum(each == UNANSWERED[0] for each in self.unanswered)
        reminded = len(self.unanswered) - asked
        is_right = list(self.unanswered) == UNANSWERED
        yield is_right, f"nobody answered about A-1018: {asked} approvers asked, {reminded} reminders"
        missing = (
            f"but not the end of {', '.join(self.untold[:5])}" if self.untold else "the end of each job among them"
        )
        yield not self.untold, f"the topic job-events has {self.events} events, {missing}"


def listen(shop: Shop, receiver: Receiver, mails: Callable[[], Sequence[dict[str, Any]]], seconds: float) -> Told:
    """Wait until every shipment has ended and the webhook and the reply have come, and see what else there is."""
    deadline = time.monotonic() + seconds
    replies: list[tuple[str, str]] = []
    while time.monotonic() < deadline:
        replies += shop.replies()
        heard = receiver.heard.get("A-1002")
        if replies and heard and heard.accepted and all(each["status"] in FINAL for each in shop.jobs("shipment")):
            break
        time.sleep(0.2)
    parcels = shop.parcels()
    subjects = [mail["subject"] for mail in mails()]
    events = shop.events()
    ended = {(each["data"]["kind"], each["data"]["id"], each["data"]["status"]) for each in events}
    jobs = [(each["kind"], each["id"], each["status"]) for each in shop.jobs() if each["status"] in FINAL]
    return Told(
        callback=str(receiver.heard.get("A-1002", "none came")),
        reply=", ".join(f"{correlation_id}: {status}" for correlation_id, status in replies) or "none came",
        parcels=(len(parcels), sum(parcel["state"] == "delivered" for parcel in parcels)),
        changes=sum(parcel["sequence"] for parcel in parcels),
        news=sum(": parcel " in subject for subject in subjects),
        unanswered=tuple(subject.partition(":")[0].partition(" (")[0] for subject in subjects if "A-1018" in subject),
        events=len(events),
        untold=tuple(f"{kind} {id}" for kind, id, status in jobs if (kind, id, status) not in ended),
    )


def differences(told: Told) -> list[str]:
    """What is not as it should be."""
    return [text for is_right, text in told.lines() if not is_right]
