"""How an alert is told besides the log: an event in the topic `job-events`, and a mail if somebody wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activities import mail
from jobs.cloud_events import Event
from jobs.event_stream import stream
from jobs.settings import settings

RAISED, CLEARED = "Raised", "Cleared"
EVENT, MAIL = "event", "mail"
SUBJECT = "alert"
"""By which subscriptions tell alerts from the events of jobs."""


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

    def to_event(self) -> Event:
        """As it is told in the topic."""
        return Event(
            label=SUBJECT,
            type=f"nightshift.alert.{self.change.lower()}",
            source="nightshift/watchdog",
            subject=self.alert,
            id=self.id,
            time=self.time,
            data=self.content,
        )


def configured() -> list[str]:
    """The channels that there are."""
    return [EVENT, MAIL] if settings().alert_mail_to else [EVENT]


async def tell(channel: str, notice: Notice) -> None:
    """Tell it once, by one channel. Raises the JobError for which it could not be told."""
    await {EVENT: _send_event, MAIL: _send_mail}[channel](notice)


async def _send_event(notice: Notice) -> None:
    """Raises ServiceBusUnavailableError, SettingMissingError."""
    await stream().send(notice.to_event())


async def _send_mail(notice: Notice) -> None:
    """Raises MailRefusedError, MailServerUnavailableError, SettingMissingError."""
    if not (to := settings().alert_mail_to):
        # It was taken out of the settings after the alert was raised.
        return
    word = "Alert" if notice.change == RAISED else "Cleared"
    await mail.deliver(to, f"{word}: {notice.summary}", _text(notice), key=notice.id, correlation_id=notice.alert)


def _text(notice: Notice) -> str:
    told = {name: value for name, value in notice.content.items() if name not in ("summary", "isMore")}
    if notice.content.get("isMore"):
        told["depth"] = f"{told['depth']} or more"
    figures = "\n".join(f"{name}: {value}" for name, value in told.items())
    if notice.change == CLEARED:
        figures = f"Its cause is gone. When it was raised:\n\n{figures}"
    return f"{notice.summary}\n\n{figures}\n\nGET /api/schedules shows all alerts that are active.\n"
