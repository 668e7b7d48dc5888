"""The durableClient input: the text from which the SDK builds its DurableOrchestrationClient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

if TYPE_CHECKING:
    from devhost.functions import Binding
    from devhost.host import Host


class DurableClientInput:
    """Hands out the Durable extension's client configuration (URLs of its RPC endpoint and of the public API)."""

    def __init__(self, host: Host, binding: Binding) -> None:
        self._host = host

    async def read(self, data: Mapping[str, Any]) -> Datum:
        """The configuration as JSON text, the same for every invocation."""
        return Datum(self._host.durable.client_binding_value(), "string")
