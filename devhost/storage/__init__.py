"""Azure Storage as devhost reaches it: accounts from connections, and a lean queue client."""

from devhost.storage.accounts import StorageAccounts

__all__ = ["StorageAccounts"]
