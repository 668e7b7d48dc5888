"""Everybody's mailbox: the messages that arrived, each Message-ID kept once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any


@dataclass(slots=True)
class Mail:
    """A message as it was delivered; `duplicates` counts later deliveries of the same Message-ID."""

    message_id: str | None
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    received_at: datetime
    correlation_id: str | None = None
    duplicates: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "messageId": self.message_id,
            "from": self.sender,
            "to": ", ".join(self.recipients),
            "subject": self.subject,
            "text": self.text,
            "receivedAt": self.received_at.isoformat(),
            "correlationId": self.correlation_id,
        }


@dataclass(slots=True)
class Mailbox:
    """The messages in the order they came."""

    _mails: list[Mail] = field(default_factory=list)

    def deliver(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Keep a message, or count it when one with its Message-ID is already here."""
        message = message_from_bytes(content, EmailMessage, policy=default)
        message_id = str(message["Message-ID"] or "").strip() or None
        for mail in self._mails:
            if message_id is not None and mail.message_id == message_id:
                mail.duplicates += 1
                return
        body = message.get_body(("plain", "html"))
        text = body.get_content() if body else ""
        # A long one begins on the line after its name.
        subject = str(message["Subject"] or "").strip()
        correlation_id = message["X-Correlation-ID"]
        self._mails.append(
            Mail(
                message_id,
                sender,
                tuple(recipients),
                subject,
                text,
                received_at=datetime.now(UTC),
                correlation_id=str(correlation_id) if correlation_id else None,
            )
        )

    def as_json(self, to: str | None = None) -> dict[str, Any]:
        """All messages, or those to one address (any case), and how many were delivered again."""
        mails = [mail for mail in self._mails if to is None or to.lower() in map(str.lower, mail.recipients)]
        return {"messages": [mail.as_json() for mail in mails], "duplicates": sum(mail.duplicates for mail in mails)}
