"""What a storage service may answer instead of doing what it was asked."""

from __future__ import annotations

from devhost.errors import DevhostError, ServiceUnavailableError


class InvalidConnectionError(DevhostError):
    """A connection string that names no usable storage account."""


class StorageError(Exception):
    """The service answered with an error.

    `status` is the HTTP status, `code` the service's error code ("QueueNotFound"; empty if it sent none).
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}" if code else f"{status}: {message}")
        self.status = status
        self.code = code


class StorageUnavailableError(ServiceUnavailableError):
    """The service does not answer, or answers that it cannot serve right now (5xx, 429): worth trying again."""
