"""The host: it composes an app's functions, listeners, the Durable extension and the HTTP server, and runs them."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from azure.functions.meta import Datum

from devhost.app import App
from devhost.errors import DevhostError, FunctionLoadError
from devhost.extension_options import check_extension_options
from devhost.functions import Function
from devhost.host_options import HostOptions
from devhost.http.keys import Keys
from devhost.http.server import HttpServer, bind
from devhost.invocation import InvocationRecord, TriggerData
from devhost.invoker import Invoker
from devhost.listeners import LISTENERS, Listener, create_listener
from devhost.outages import Outages
from devhost.services import check_services

if TYPE_CHECKING:
    from devhost.durable import DurableExtension
    from devhost.listeners.blob_triggers import BlobTriggers
    from devhost.service_bus_connections import ServiceBusConnections
    from devhost.storage import StorageAccounts

_LAST_WORDS = 1.0
_IDLE_LOOK = 0.005
_NO_FUNCTIONS = "Register functions on the app in function_app.py, by decorators or with app.register_functions(...)."
_log = logging.getLogger("devhost.host")


class Host(App):
    """One function app, running. Listeners, bindings and the Durable extension use what is public here."""

    def __init__(self, script_root: Path, options: HostOptions | None = None) -> None:
        super().__init__(script_root, options)
        self.clock = self.options.clock
        self.outages = Outages()
        self.faults: list[BaseException] = []
        """What failed() was told."""
        self.observers: list[Callable[[InvocationRecord], None]] = []
        """Told of each attempt that ends, from the first one on."""
        self.state = "Default"
        self.instance_id = uuid4().hex
        self.durable: DurableExtension | None = None
        self.paused = False
        """Whether listeners were stopped on request, by the admin API's drain."""
        self.invoker: Invoker
        self.keys: Keys | None = None
        self._began = time.monotonic()
        self._server: HttpServer | None = None
        self._listeners: list[Listener] = []

    # What starts and stops it

    async def start(self) -> None:
        """Load the app and run it. Raises DevhostError, with nothing left running, when it cannot."""
        self.state = "Starting"
        try:
            await self._start()
        except BaseException:
            self.state = "Error"
            await self.stop(0)
            raise
        self.state = "Running"

    async def _start(self) -> None:
        self.read_settings()
        listening = bind(self.address, self.port)
        self._environment.callback(listening.close)
        self.port = listening.getsockname()[1]
        self.load()
        for error in self.errors:
            # The real host only leaves such a function out. Here one line in a file puts it right, so say that and end.
            if error.is_setting:
                raise error
        if not self.functions:
            raise self.errors[0] if self.errors else DevhostError("No job functions found.", _NO_FUNCTIONS)
        self.invoker = Invoker(self)
        self.invoker.observers = self.observers
        if self.options.enable_auth:
            self.keys = Keys(self.script_root / ".devhost" / "keys.json", os.environ)
        check_extension_options(self)
        await check_services(self)
        self._prepare_functions()
        if self.needs_durable:
            from devhost.durable import DurableExtension

            self.durable = DurableExtension(self, self.task_hub)
        self._server = HttpServer(self, listening, self.cors(), self.keys)
        await self._server.start()
        if self.durable is not None:
            await self.durable.start()
        await self._start_listeners()

    async def stop(self, grace: float = 30.0) -> bool:
        """Take no more work, let what runs end within `grace` seconds, hand the rest back. True: all of it ended."""
        if self.state == "Running":
            self.state = "Stopping"
        complete = True
        try:
            async with asyncio.timeout(grace):
                await self._wind_down()
        except TimeoutError:
            complete = not self.outstanding
        await self._tear_down()
        self.state = "Stopped"
        return complete

    async def _wind_down(self) -> None:
        if self._server is not None:
            await self._server.stop_accepting()
        if hasattr(self, "invoker"):
            self.invoker.stop_retrying()
        await self._stop_listeners()
        while self._server is not None and self._server.outstanding:
            await asyncio.sleep(_IDLE_LOOK)
        if self.durable is not None:
            await self.durable.stop()
            self.durable = None
        while self.outstanding:
            await asyncio.sleep(_IDLE_LOOK)

    async def _tear_down(self) -> None:
        if self.durable is not None:  # out of time: what it still runs goes back to the hub when its lease ends
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.durable.stop(), _LAST_WORDS)
        if self._server is not None:
            await self._server.close()
            self._server = None
        if "storage" in self.__dict__:
            await self.storage.close()
        if "service_bus" in self.__dict__:
            await self.service_bus.close()
        if hasattr(self, "invoker"):
            self.invoker.close()
        self.close()

    async def pause(self) -> None:
        """Stop the listeners; HTTP and what Durable has in hand go on. For the admin API's drain."""
        self.paused = True
        await self._stop_listeners()

    async def resume(self) -> None:
        """Take work again after pause()."""
        if self.paused:
            self.paused = False
            await self._start_listeners()

    async def drain(self) -> None:
        """Return once nothing runs and nothing is known to be waiting. Ends at once when something has failed()."""
        await drain_together([self])

    async def is_idle(self) -> bool:
        """Whether nothing runs and nothing is known to be waiting, at this moment."""
        if self.outstanding or (self._server is not None and self._server.outstanding):
            return False
        listeners = [] if self.paused else self._listeners
        # Listeners ask their services, so they come last.
        for part in [*([self.durable] if self.durable is not None else []), *listeners]:
            idle = part.is_idle()
            if not (await idle if inspect.isawaitable(idle) else idle):
                return False
        return True

    # What its parts use

    async def invoke(self, function: Function, trigger: TriggerData) -> Datum | None:
        """Run one invocation; what goes back to the trigger, or FunctionInvocationError."""
        return await self.invoker.invoke(function, trigger)

    def failed(self, error: BaseException) -> None:
        """A fault of devhost itself (a listener's bug, a lost loop): logged, and raised by TestHost.drain()."""
        self.faults.append(error)
        _log.error("devhost itself failed: %s: %s", type(error).__name__, error, exc_info=error)

    @cached_property
    def storage(self) -> StorageAccounts:
        """The app's storage accounts."""
        from devhost.storage import StorageAccounts

        return StorageAccounts(self.settings)

    @cached_property
    def blob_triggers(self) -> BlobTriggers:
        """What the app's blob-triggered functions share."""
        from devhost.listeners.blob_triggers import BlobTriggers

        return BlobTriggers(self)

    @cached_property
    def service_bus(self) -> ServiceBusConnections:
        """The app's Service Bus namespaces."""
        from devhost.service_bus_connections import ServiceBusConnections

        return ServiceBusConnections(self.settings)

    # What its faces show

    @property
    def uptime(self) -> float:
        """Seconds since the host was made."""
        return time.monotonic() - self._began

    @property
    def outstanding(self) -> int:
        """Invocations that run."""
        return len(self.invoker.running) if hasattr(self, "invoker") else 0

    @property
    def outstanding_retries(self) -> int:
        """Invocations that wait for a retry."""
        return self.invoker.retrying

    @property
    def timers_elsewhere(self) -> list[str]:
        """The timers that another host of the app runs at the moment."""
        return [each.function.name for each in self._listeners if getattr(each, "runs_elsewhere", False)]

    # Steps

    def _prepare_functions(self) -> None:
        """Make what each function needs for its calls; one that cannot have it is left out, as in indexing."""
        for function in list(self.functions.values()):
            try:
                self.invoker.prepare(function)
                if function.trigger.type in LISTENERS and not function.disabled:
                    self._listeners.append(create_listener(self, function))
            except DevhostError as error:
                del self.functions[function.name]
                self.errors.append(FunctionLoadError(function.name, error.message, error.remedy))
        if not self.functions:
            raise self.errors[-1]

    async def _start_listeners(self) -> None:
        for listener in self._listeners:
            await listener.start()

    async def _stop_listeners(self) -> None:
        await asyncio.gather(*(listener.stop() for listener in self._listeners))


async def drain_together(hosts: Sequence[Host]) -> None:
    """As Host.drain, for hosts that share their work: all of them are idle at once."""
    quiet_since = -1
    while not any(host.faults for host in hosts):
        started = sum(host.invoker.started for host in hosts)
        if all([await host.is_idle() for host in hosts]):
            if quiet_since == started:
                return
            quiet_since = started
        else:
            quiet_since = -1
        await asyncio.sleep(_IDLE_LOOK)
