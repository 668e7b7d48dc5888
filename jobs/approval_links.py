"""The links in the mails to approvers: signed, for one round of one approval, and good until that round ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from itsdangerous import BadData, URLSafeSerializer

from jobs import clock
from jobs.errors import ApprovalOverError, LinkForgedError, SettingMissingError
from jobs.settings import settings

SALT = "approval"
"""Keeps what is signed here from being taken for anything else that the same key signs."""
SHORTEST_KEY = 16


@dataclass(frozen=True)
class Invitation:
    """What a link says: whoever has it may decide this approval in this round."""

    approval: str
    round: int
    expires_at: datetime

    def url(self) -> str:
        """Raises SettingMissingError."""
        token = _serializer().dumps([self.approval, self.round, self.expires_at.timestamp()])
        return f"{settings().nightshift_url}/api/approvals/{token}"


def read(token: str) -> Invitation:
    """What the token of a link says. Raises LinkForgedError, ApprovalOverError past its time, SettingMissingError."""
    try:
        approval, round, expires_at = _serializer().loads(token)
    except (BadData, UnicodeEncodeError):
        raise LinkForgedError(
            "this link is not one that was mailed: use the one in the mail, whole, or ask the operator"
        ) from None
    invitation = Invitation(approval, round, datetime.fromtimestamp(expires_at, UTC))
    if clock.now() >= invitation.expires_at:
        raise ApprovalOverError(
            f"this link worked until {invitation.expires_at:%Y-%m-%d %H:%M} UTC: "
            "somebody else has been asked since, or it was decided without an answer"
        )
    return invitation


def check_key() -> None:
    """Raises SettingMissingError when there is no key to sign with, or one that could be guessed."""
    _serializer()


def _serializer() -> URLSafeSerializer:
    key = settings().required("signing_key")
    if len(key) < SHORTEST_KEY:
        raise SettingMissingError(f"the app setting SIGNING_KEY must be random, {SHORTEST_KEY} characters at least")
    return URLSafeSerializer(key, salt=SALT, signer_kwargs={"key_derivation": "hmac", "digest_method": sha256})
