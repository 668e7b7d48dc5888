"""The storage queue output: one message, or one for each element of an array."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from devhost.bindings.dotnet import text_of
from devhost.bindings.expressions import BindingExpression
from devhost.bindings.results import read_items
from devhost.storage.queue import check_queue_name
from devhost.storage.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.functions import Binding
    from devhost.host import Host

PATIENCE = 20.0
"""Seconds for which a put is tried again while the service does not answer, as the real host's SDK does it."""


class QueueOutput:
    """Puts messages into a queue, which is created if missing; its name is lower-cased (functions-host.md §2.4)."""

    def __init__(self, host: Host, binding: Binding) -> None:
        """Raises what StorageAccounts.account raises, BindingExpressionError, InvalidQueueNameError."""
        self._service = host.storage.queues(binding.properties.get("connection"))
        self._name = BindingExpression(binding.properties["queueName"])
        self._is_base64 = QueueOptions.from_host(host).message_encoding == "base64"
        if self._name.is_constant:
            check_queue_name(self._name.resolve({}))

    def check(self, data: Mapping[str, Any]) -> None:
        """Raise BindingExpressionError if `data` lacks a name that the queue name uses."""
        self._name.resolve(data)

    async def write(self, value: Datum, data: Mapping[str, Any]) -> None:
        """Put the messages, in order. In-process listeners on the queue notice at once."""
        queue = self._service.queue(check_queue_name(self._name.resolve(data)))
        for item in read_items(value):
            body = item if isinstance(item, bytes) else text_of(item).encode()
            text = base64.b64encode(body).decode() if self._is_base64 else body.decode("utf-8", "replace")
            await queue.put(text, create=True, patience=PATIENCE)
