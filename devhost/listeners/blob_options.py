"""host.json's `extensions.blobs` and the pace of the container scan, checked (functions-host.md §5)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devhost.errors import DevhostError
from devhost.storage.queue import MAX_RECEIVE
from devhost.storage.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.host import Host

SCAN_SETTING = "DEVHOST_BLOB_SCAN"
"""Seconds between two scans of a container. The real host's are 10; here somebody is watching."""
DEFAULT_SCAN = 1.0
_SHORTEST_SCAN = 0.05


class BlobOptionsError(DevhostError):
    """A value under host.json's extensions.blobs, or DEVHOST_BLOB_SCAN, is out of its range."""


@dataclass(frozen=True, slots=True)
class BlobOptions:
    """How blobs are watched, and how many functions run for them at once."""

    max_degree_of_parallelism: int
    poison_blob_threshold: int
    scan_interval: float
    """Seconds."""

    @classmethod
    def from_host(cls, host: Host) -> BlobOptions:
        """The options of a host. Raises BlobOptionsError."""
        return cls.read(host.json.extension("blobs"), host.settings.get(SCAN_SETTING))

    @classmethod
    def read(cls, section: Mapping[str, Any], scan: str | None = None) -> BlobOptions:
        """The options from host.json's section and the scan setting. Raises BlobOptionsError."""
        values = {name.lower(): value for name, value in section.items()}
        parallelism = values.get("maxdegreeofparallelism", 8 * (os.cpu_count() or 1))
        return cls(
            max_degree_of_parallelism=_positive("maxDegreeOfParallelism", parallelism),
            poison_blob_threshold=_positive("poisonBlobThreshold", values.get("poisonblobthreshold", 5)),
            scan_interval=_scan_interval(scan),
        )

    def for_queue(self, queues: QueueOptions) -> QueueOptions:
        """How the internal queue is consumed; lease and polling are those of the app's queue triggers."""
        batch = min(MAX_RECEIVE, self.max_degree_of_parallelism // 2 + 1)
        return QueueOptions(
            batch_size=batch,
            new_batch_threshold=self.max_degree_of_parallelism - batch,
            max_polling_interval=queues.max_polling_interval,
            max_dequeue_count=self.poison_blob_threshold,
            visibility_timeout=0,
            lease=queues.lease,
        )


def _positive(name: str, value: Any) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise BlobOptionsError(
            f"host.json: extensions.blobs.{name} is '{value}', but must be a whole number of at least 1.",
            "Correct it and start again.",
        )
    return number


def _scan_interval(text: str | None) -> float:
    try:
        seconds = float(text) if text else DEFAULT_SCAN
    except ValueError:
        seconds = 0.0
    if not _SHORTEST_SCAN <= seconds < float("inf"):
        raise BlobOptionsError(
            f"The setting {SCAN_SETTING} is '{text}', but must be a number of seconds of at least {_SHORTEST_SCAN}.",
            "Correct it and start again.",
        )
    return seconds
