"""Azure Storage as devhost reaches it: accounts from connections, and lean clients of queues and blobs."""

from devhost.storage.accounts import StorageAccounts

__all__ = ["StorageAccounts"]
