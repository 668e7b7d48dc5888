"""Shared access signatures: whether a token was made with the bus's key, and still holds (servicebus-amqp.md §3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import unquote_plus

from devhost.servicebus.errors import UnauthorizedError

KEY_NAME = "RootManageSharedAccessKey"
KEY = "SAS_KEY_VALUE"
"""What stands for a key in the official emulator's connection strings."""

_PREFIX = "SharedAccessSignature "


def check_token(token: str, now: int, key: str = KEY) -> int:
    """When the token ends, ms since 1970; `now` likewise. Raises UnauthorizedError with the cause and a remedy."""
    if not token.startswith(_PREFIX):
        raise UnauthorizedError(
            "The token is no shared access signature, and the local bus knows no Microsoft Entra ID. "
            "Use the connection string that the bus prints when it starts."
        )
    raw = dict(part.partition("=")[::2] for part in token.removeprefix(_PREFIX).split("&"))
    fields = {name: unquote_plus(value) for name, value in raw.items()}
    try:
        expiry = int(fields["se"])
        signature = fields["sig"]
        signed = f"{raw['sr']}\n{raw['se']}"
    except (KeyError, ValueError):
        raise UnauthorizedError("The token lacks sr, sig or se. Let the client make it of its key.") from None
    wanted = base64.b64encode(hmac.digest(key.encode(), signed.encode(), hashlib.sha256)).decode()
    if not hmac.compare_digest(wanted.encode(), signature.encode()):
        raise UnauthorizedError(
            "The token was made with another key. The connection string needs "
            f"SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY}."
        )
    if expiry * 1000 <= now:
        raise UnauthorizedError("The token has expired. Make a new one; if that does not help, look at the clocks.")
    return expiry * 1000
