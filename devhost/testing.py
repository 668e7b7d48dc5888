"""Function apps under test: the host in the test's process, moved by ordinary synchronous calls.

As a pytest plugin (`pytest_plugins = ["devhost.testing"]`) it brings the fixtures `azurite`, `service_bus` and
`devhost_host`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest

from devhost.azurite import Azurite
from devhost.clock import Clock, VirtualClock
from devhost.host import Host, drain_together
from devhost.host_id import HOST_ID_SETTING
from devhost.host_options import HostOptions
from devhost.invocation import InvocationRecord
from devhost.servicebus.in_process import InProcessServiceBus

_THREAD_NAME = "devhost"
# As fast as the real host's settings go: a test should not wait for a poll, nor for a session that is kept open.
_POLLING = {
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.1000000",
    "AzureFunctionsJobHost__extensions__serviceBus__sessionIdleTimeout": "00:00:00.2000000",
}
_REQUEST_SECONDS = 120.0


class _Loop:
    """The event loop of all hosts of this process, on a thread of its own.

    One for all of them, since libraries keep sessions and locks that belong to the first loop they saw, as the Durable
    SDK's client does: a worker process never has a second loop, a test process would.
    """

    _loop: asyncio.AbstractEventLoop | None = None
    _users = 0

    @classmethod
    def enter(cls) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        if cls._loop is None:
            cls._loop = asyncio.new_event_loop()
            threading.Thread(target=cls._loop.run_forever, name=_THREAD_NAME, daemon=True).start()
        cls._users += 1
        return cls._loop

    @classmethod
    def leave(cls) -> None:
        """One host has ended; after the last, tasks that the apps left behind are cancelled."""
        cls._users -= 1
        if cls._users == 0:
            asyncio.run_coroutine_threadsafe(_cancel_tasks(), cls._loop).result()


class TestHost:
    """One function app in this process, on a free port, for a `with` block.

    Settings come from `settings` and the environment; local.settings.json is not read, so that a test means the same on
    every machine. The Durable task hub is a new one unless `task_hub` names a file. Hosts of one clock have one host id
    of their own, so that they share locks and the status of timers with each other and with no other test.
    """

    __test__ = False  # not a test class, whatever its name makes pytest think

    def __init__(
        self,
        script_root: Path | str,
        *,
        settings: Mapping[str, str] | None = None,
        functions: list[str] | None = None,
        clock: Clock | None = None,
        task_hub: Path | str | None = None,
        enable_auth: bool = False,
        cors: str | None = None,
    ) -> None:
        """`clock`: a VirtualClock unless given; pass `Clock()` for real time, or one clock to several hosts."""
        clock = clock or VirtualClock()
        self._folder = tempfile.TemporaryDirectory(prefix="devhost-")
        self._options = HostOptions(
            port=0,
            address="127.0.0.1",
            functions=functions,
            cors=cors,
            enable_auth=enable_auth,
            task_hub=str(task_hub or Path(self._folder.name) / "hub.sqlite3"),
            settings={HOST_ID_SETTING: _host_id(clock), **_POLLING, **(settings or {})},
            use_local_settings=False,
            clock=clock,
        )
        self.app = Host(Path(script_root), self._options)
        """The host itself. It belongs to another thread: use call()."""
        self.invocations: list[InvocationRecord] = []
        """Every attempt that ended, in that order."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: httpx.Client | None = None
        self._raised: set[int] = set()

    # Life

    def __enter__(self) -> TestHost:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            self._raise_faults()

    def start(self) -> TestHost:
        """Start the host. Raises the DevhostError that keeps it from starting."""
        root = logging.getLogger()
        self._level, level = root.level, min(root.level, logging.INFO)
        root.setLevel(level)  # what the worker sets, so that caplog sees an app's Information lines
        self.app.observers.append(self.invocations.append)
        self._loop = _Loop.enter()
        try:
            self.call(self.app.start)
        except BaseException:
            self._close()
            raise
        # It speaks plain HTTP, and to read the certificates of the world takes 20 ms.
        self._client = httpx.Client(base_url=self.url, timeout=_REQUEST_SECONDS, verify=False)
        _running.append(self)
        return self

    def stop(self, grace: float = 5.0) -> None:
        """Stop the host; what does not end within `grace` seconds is handed back."""
        if self._client is None:
            return
        _running.remove(self)
        self._client.close()
        self._client = None
        self.call(self.app.stop, grace)
        self._close()

    def _close(self) -> None:
        _Loop.leave()
        logging.getLogger().setLevel(self._level)
        self._folder.cleanup()

    # HTTP

    @property
    def host(self) -> str:
        """The address it listens on."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.app.port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}:{self.port}"

    def request(self, method: str, url: str, **given: Any) -> httpx.Response:
        """One request; `url` may be a path or a whole URL, `given` is what httpx takes (json=, content=, headers=…)."""
        return self._client.request(method, url, **given)

    def get(self, url: str, **given: Any) -> httpx.Response:
        """GET; see request()."""
        return self.request("GET", url, **given)

    def post(self, url: str, **given: Any) -> httpx.Response:
        """POST; see request()."""
        return self.request("POST", url, **given)

    # Time and work

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function, or coroutine function, on the host's loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(_await(function, arguments), self._loop).result()

    def drain(self, timeout: float = 120.0) -> None:
        """Wait until all is idle: queues empty, no invocation running, no orchestration with something to do.

        Timers that are not due do not count. Hosts that share this one's clock are waited for as well, since they may
        share its work. Raises the first fault of devhost itself (Host.failed), and TimeoutError with what still runs
        after `timeout` seconds. Functions that failed are in `failures`.
        """
        hosts = [host for host in _running if host.app.clock is self.app.clock]
        apps = [host.app for host in hosts]
        try:
            self.call(self._within, timeout, lambda: drain_together(apps))
        except TimeoutError:
            _raise_faults(hosts)
            running = ", ".join(sorted({name for app in apps for name in app.invoker.running.values()}))
            raise TimeoutError(f"not idle after {timeout:g} s; running: {running or 'no invocation'}") from None
        _raise_faults(hosts)

    def advance(self, span: timedelta | None = None, *, timeout: float = 120.0, **parts: float) -> None:
        """Let virtual time pass: `advance(days=30)`. Every timer on the way fires at its time, and its work is done.

        That goes for all hosts that share the clock. Raises what drain() raises, for each of its waits.
        """
        clock = self.app.clock
        if not isinstance(clock, VirtualClock):
            raise TypeError("advance() needs the host to run on a VirtualClock")
        self.drain(timeout)
        target = clock.now() + (span or timedelta()) + timedelta(**parts)
        while (due := self.call(clock.next_sleeper)) is not None and due <= target:
            self.call(clock.jump_to, due)
            self.drain(timeout)
        self.call(clock.jump_to, target)
        self.drain(timeout)

    @property
    def failures(self) -> list[InvocationRecord]:
        """The attempts that failed."""
        return [record for record in self.invocations if record.error is not None]

    async def _within(self, seconds: float, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.timeout(seconds):
            await function()

    def _raise_faults(self) -> None:
        for fault in self.app.faults:
            if id(fault) not in self._raised:
                self._raised.add(id(fault))
                raise fault


_running: list[TestHost] = []
_host_ids: weakref.WeakKeyDictionary[Clock, str] = weakref.WeakKeyDictionary()


def _raise_faults(hosts: list[TestHost]) -> None:
    for host in hosts:
        host._raise_faults()


def _host_id(clock: Clock) -> str:
    return _host_ids.setdefault(clock, f"test-{uuid.uuid4().hex[:16]}")


async def _await(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    result = function(*arguments)
    return await result if inspect.isawaitable(result) else result


async def _cancel_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=5)


@pytest.fixture(scope="session")
def azurite(request: pytest.FixtureRequest) -> Iterator[Azurite]:
    """Azurite in memory on free ports, for the whole session; see its `connection_string`."""
    with Azurite(search_from=request.config.rootpath) as running:
        yield running


@pytest.fixture(scope="session")
def service_bus(request: pytest.FixtureRequest) -> Iterator[InProcessServiceBus]:
    """A Service Bus in memory on free ports, for the whole session, with the entities of the root's servicebus.json.

    See its `connection_string`; `clear()` drops all messages.
    """
    with InProcessServiceBus(request.config.rootpath / "servicebus.json") as running:
        yield running


@pytest.fixture
def devhost_host() -> Iterator[Callable[..., TestHost]]:
    """A factory of running hosts, `devhost_host(script_root, settings={...})`; they stop when the test ends."""
    hosts: list[TestHost] = []

    def start(script_root: Path | str, **options: Any) -> TestHost:
        host = TestHost(script_root, **options)
        hosts.append(host.start())
        return host

    yield start
    for host in reversed(hosts):
        host.stop()
    for host in hosts:
        host._raise_faults()
