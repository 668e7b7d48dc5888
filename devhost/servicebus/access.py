"""Who may in: one shared access key, shown as a signed token or as a password."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from urllib.parse import parse_qsl, unquote_plus

from devhost.servicebus.addresses import covers, to_path
from devhost.servicebus.errors import UnauthorizedError

KEY_NAME = "RootManageSharedAccessKey"
KEY = "SAS_KEY_VALUE"
"""What the official emulator's connection string says."""
_TOKEN = "SharedAccessSignature "


class SharedAccessPolicy:
    """A rule with its key. It may do everything in the namespace."""

    def __init__(self, name: str = KEY_NAME, key: str = KEY) -> None:
        self.name = name
        self._key = key

    def check_password(self, name: str, password: str) -> bool:
        """Whether SASL PLAIN may go on: rule name and key."""
        is_key = hmac.compare_digest(password.encode(), self._key.encode())
        return name == self.name and is_key

    def check_token(self, token: object, audience: object) -> None:
        """Raises UnauthorizedError unless it is a SAS token of this key, for this audience and still good.

        The type that came with it does not matter: the SDK calls every token a `jwt` (servicebus-amqp.md §3).
        """
        if not isinstance(token, str) or not token.startswith(_TOKEN):
            raise UnauthorizedError(
                "The local Service Bus takes shared access signatures only, no tokens of Microsoft Entra ID. Use a"
                " connection string with SharedAccessKeyName and SharedAccessKey instead of a token credential."
            )
        fields = dict(parse_qsl(token.removeprefix(_TOKEN), keep_blank_values=True))
        # The signature is over the resource as it is encoded in the token, not as it reads.
        resource = next((part[3:] for part in token.removeprefix(_TOKEN).split("&") if part.startswith("sr=")), "")
        expiry = fields.get("se", "")
        digest = hmac.new(self._key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
        # "+" of an unescaped signature reads as a space.
        signature = fields.get("sig", "").replace(" ", "+")
        is_signed = hmac.compare_digest(base64.b64encode(digest), signature.encode())
        if not is_signed or fields.get("skn") != self.name:
            raise UnauthorizedError(
                f"The token is not signed by '{self.name}' with its key. Use the connection string that the local"
                " Service Bus prints when it starts."
            )
        if not expiry.isdigit() or int(expiry) <= time.time():
            raise UnauthorizedError("The token has expired. Put a new one; if it is new, compare the clocks.")
        if not isinstance(audience, str) or not covers(to_path(unquote_plus(resource)), to_path(audience)):
            raise UnauthorizedError(f"The token is for '{unquote_plus(resource)}', not for '{audience}'.")
