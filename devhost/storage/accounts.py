"""The storage accounts of a host, found by connection name and shared by everything that uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devhost.storage.blob_service import BlobService
from devhost.storage.connections import Account, parse_account
from devhost.storage.queue_service import QueueService

if TYPE_CHECKING:
    from azure.data.tables.aio import TableServiceClient
    from azure.storage.blob.aio import BlobServiceClient

    from devhost.settings import Settings


class StorageAccounts:
    """Hands out one client per service and account. `close()` ends their connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues: dict[Account, QueueService] = {}
        self._blob_services: dict[Account, BlobService] = {}
        self._blobs: dict[Account, BlobServiceClient] = {}
        self._tables: dict[Account, TableServiceClient] = {}

    def account(self, connection: str | None) -> Account:
        """The account that a binding's `connection` names (blank: AzureWebJobsStorage; functions-host.md §1.4).

        Raises what Settings.connection raises (identity connections are not covered), and InvalidConnectionError.
        """
        return parse_account(self._settings.connection(connection, "storage"))

    def queues(self, connection: str | None = None) -> QueueService:
        """The queue service of a connection; raises what account() raises."""
        account = self.account(connection)
        if account not in self._queues:
            self._queues[account] = QueueService(account)
        return self._queues[account]

    def blob_service(self, connection: str | None = None) -> BlobService:
        """The blob service of a connection, for the few operations that must be quick; raises what account() raises."""
        account = self.account(connection)
        if account not in self._blob_services:
            self._blob_services[account] = BlobService(account)
        return self._blob_services[account]

    def blobs(self, connection: str | None = None) -> BlobServiceClient:
        """The blob service of a connection (Azure SDK, asynchronous); raises what account() raises."""
        account = self.account(connection)
        if account not in self._blobs:
            from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

            # The SDK's own default first waits 15 s, long enough to look like a hang when Azurite restarts.
            retry = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=4)
            self._blobs[account] = BlobServiceClient.from_connection_string(
                account.connection_string, retry_policy=retry
            )
        return self._blobs[account]

    def tables(self, connection: str | None = None) -> TableServiceClient:
        """The table service of a connection (Azure SDK, asynchronous); raises what account() raises."""
        account = self.account(connection)
        if account not in self._tables:
            from azure.data.tables.aio import TableServiceClient

            self._tables[account] = TableServiceClient.from_connection_string(account.connection_string)
        return self._tables[account]

    async def close(self) -> None:
        """Close every connection; everything can be used, or asked for, again."""
        lean = (*self._queues.values(), *self._blob_services.values())
        for client in (*lean, *self._blobs.values(), *self._tables.values()):
            await client.close()
        # The SDK's clients are of no use once closed; the lean ones open a new session.
        self._blobs.clear()
        self._tables.clear()
