"""One service of a storage account over one shared HTTP session: authorised requests, and errors by their kind.

The Azure SDK costs 1 to 3 ms of CPU a call, more than all the rest of a queue-triggered invocation. A plain request
costs a fraction of it; the library still does all the signing, by an account SAS that is made rarely and reused.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import aiohttp
from yarl import URL

from devhost.storage.connections import Account
from devhost.storage.errors import InvalidConnectionError, StorageError, StorageUnavailableError

API_VERSION = "2025-11-05"
"""The newest version that the pinned Azurite 3.35 knows; Azure serves it as well."""

_SAS_LIFETIME = timedelta(hours=12)
_CLOCK_SKEW = timedelta(minutes=15)
# Azurite closes a connection after 5 idle seconds; leaving first avoids writing into one that is just being closed.
_KEEP_ALIVE = 4.0
_FIRST_RETRY, _LONGEST_RETRY = 0.2, 3.2


class StorageService:
    """The blobs or the queues of one account. Belongs to the event loop that first uses it."""

    kind = ""
    """ "blob" or "queue"."""
    timeout = aiohttp.ClientTimeout(total=30, connect=5)

    def __init__(self, account: Account) -> None:
        """Raises InvalidConnectionError if the account has no endpoint for this service."""
        title = self.kind.capitalize()
        self.endpoint: str = getattr(account, f"{self.kind}_endpoint")
        if not self.endpoint:
            raise InvalidConnectionError(
                f"The storage connection names no {self.kind} endpoint.",
                f"Add {title}Endpoint=... to the connection string.",
            )
        self.name = f"{title} storage at {self.endpoint}"
        """What an outage of this service is reported under."""
        self.account = account
        self._token = account.sas
        self._renew_at = float("inf") if account.sas else 0.0
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes | None = None,
        patience: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        """Send one request and return the answer's headers and body.

        `path` and `query` are already percent-encoded. A service that does not answer is asked again, with growing
        pauses, for up to `patience` seconds. Raises StorageUnavailableError, or StorageError for any other refusal.
        """
        give_up = time.monotonic() + patience
        pause = _FIRST_RETRY
        while True:
            try:
                return await self._send(method, path, query, body, headers)
            except StorageUnavailableError:
                if time.monotonic() + pause > give_up:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_RETRY)

    async def close(self) -> None:
        """Close the connections; the service can be used again."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _send(
        self, method: str, path: str, query: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> tuple[Mapping[str, str], bytes]:
        separator = "&" if query else ""
        url = URL(f"{self.endpoint}/{path}?{query}{separator}{self._authorization()}", encoded=True)
        try:
            async with self._open_session().request(method, url, data=body, headers=headers) as response:
                answer = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StorageUnavailableError(
                f"{self.name} does not answer ({str(error) or type(error).__name__}).",
                "For local storage start Azurite (npx azurite --skipApiVersionCheck); otherwise check the connection.",
            ) from error
        if response.status < 300:
            return response.headers, answer
        refusal = StorageError(response.status, response.headers.get("x-ms-error-code", ""), _message(answer))
        if response.status >= 500 or response.status == 429:
            raise StorageUnavailableError(f"{self.name} cannot serve the request ({refusal}).") from refusal
        raise refusal

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=_KEEP_ALIVE),
                headers={"x-ms-version": API_VERSION},
                timeout=self.timeout,
                auto_decompress=False,  # a blob stored as gzip is given as it is stored
            )
        return self._session

    def _authorization(self) -> str:
        now = time.time()
        if now >= self._renew_at:
            # Imported here because it takes longer than everything else that a host without storage needs.
            from azure.storage.queue import AccountSasPermissions, ResourceTypes, Services, generate_account_sas

            moment = datetime.fromtimestamp(now, UTC)
            self._token = generate_account_sas(
                self.account.name,
                self.account.key,
                resource_types=ResourceTypes(container=True, object=True),
                permission=AccountSasPermissions(
                    read=True, add=True, create=True, write=True, update=True, process=True, delete=True, list=True
                ),
                start=moment - _CLOCK_SKEW,
                expiry=moment + _SAS_LIFETIME,
                services=Services(**{self.kind: True}),
            )
            self._renew_at = now + _SAS_LIFETIME.total_seconds() / 2
        return self._token


def _message(answer: bytes) -> str:
    text = answer.decode("utf-8", "replace")
    with contextlib.suppress(ElementTree.ParseError):
        text = ElementTree.fromstring(answer).findtext("Message") or text
    return text.partition("\n")[0][:300]
