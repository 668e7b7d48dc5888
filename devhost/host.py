"""The host: it composes settings, functions, listeners, the Durable extension and the HTTP server, and runs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from azure.functions.meta import Datum

from devhost.clock import Clock
from devhost.functions import Function
from devhost.invocation import TriggerData
from devhost.outages import Outages

if TYPE_CHECKING:
    from devhost.durable import DurableExtension
    from devhost.host_json import HostJson
    from devhost.settings import Settings
    from devhost.storage import StorageAccounts


class Host:
    """What listeners, bindings and the Durable extension may use."""

    script_root: Path
    settings: Settings
    json: HostJson
    functions: dict[str, Function]
    clock: Clock
    origin: str
    storage: StorageAccounts
    durable: DurableExtension | None
    outages: Outages

    async def invoke(self, function: Function, trigger: TriggerData) -> Datum | None:
        """Run one invocation; see devhost.invocation. Raises FunctionInvocationError."""
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """A fault of devhost itself (a listener's bug, a lost loop): logged, and raised by TestHost.drain()."""
        raise NotImplementedError
