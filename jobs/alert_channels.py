"""How an alert is told besides the log: an event in the topic `job-events`, and a mail if somebody wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activities import mail
from jobs.links import Link, links
from jobs.settings import settings

RAISED, CLEARED = "Raised", "Cleared"
EVENT, MAIL = "event", "mail"
TOPIC = Link("job-events", sends=True)
SUBJECT = "alert"
"""By which subscriptions tell alerts from the events of jobs."""
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


@dataclass(frozen=True)
class Notice:
    """What is told of one alert: that it was raised, or cleared."""

    change: str
    alert: str
    summary: str
    figures: Mapping[str, Any]
    raised_at: str
    time: str

    @property
    def id(self) -> str:
        """The same each time that it is told, so that whoever gets it twice can know."""
        return f"{self.alert}@{self.raised_at}.{self.change.lower()}"

    @property
    def content(self) -> dict[str, Any]:
        """What is told: `alert`, `summary`, `since`, and the figures."""
        return {"alert": self.alert, "summary": self.summary, "since": self.raised_at, **self.figures}

    def to_event(self) -> dict[str, Any]:
        """As CloudEvents 1.0 has it."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": "nightshift/watchdog",
            "type": f"nightshift.alert.{self.change.lower()}",
            "subject": self.alert,
            "time": self.time,
            "datacontenttype": "application/json",
            "data": self.content,
        }


def configured() -> list[str]:
    """The channels that there are."""
    return [EVENT, MAIL] if settings().alert_mail_to else [EVENT]


async def tell(channel: str, notice: Notice) -> None:
    """Tell it once, by one channel. Raises the JobError for which it could not be told."""
    await {EVENT: _send_event, MAIL: _send_mail}[channel](notice)


async def _send_event(notice: Notice) -> None:
    """Raises ServiceBusUnavailableError, SettingMissingError."""
    from azure.servicebus import ServiceBusMessage

    body = json.dumps(notice.to_event()).encode()
    message = ServiceBusMessage(body, message_id=notice.id, subject=SUBJECT, content_type=CONTENT_TYPE)
    async with links().lent(TOPIC) as sender:
        await sender.send_messages(message)


async def _send_mail(notice: Notice) -> None:
    """Raises MailRefusedError, MailServerUnavailableError, SettingMissingError."""
    if not (to := settings().alert_mail_to):
        # It was taken out of the settings after the alert was raised.
        return
    word = "Alert" if notice.change == RAISED else "Cleared"
    figures = "\n".join(f"{name}: {value}" for name, value in notice.content.items() if name != "summary")
    text = f"{notice.summary}\n\n{figures}\n\nGET /api/schedules shows all alerts that are active.\n"
    await mail.deliver(to, f"{word}: {notice.summary}", text, key=notice.id, correlation_id=notice.alert)
