"""What clients do in a test's process without need is spared: the Service Bus client's naps, httpx's certificates."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import httpx
import pytest
from azure.servicebus import _servicebus_receiver, _servicebus_sender, _session_browser
from azure.servicebus._pyamqp import client
from azure.servicebus._pyamqp.aio import _client_async, _transport_async
from azure.servicebus.aio import _servicebus_receiver_async, _servicebus_sender_async, _session_browser_async

NAPS = {0.05: 0.001, 1: 0.05}
"""Seconds that the client sleeps between two looks at a link that opens, and at whether it is to end its keep-alive."""


class Impatient:
    """A module whose sleep() is short for NAPS."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def sleep(self, seconds: float) -> Any:
        return self._module.sleep(NAPS.get(seconds, seconds))


@contextmanager
def without_naps() -> Iterator[None]:
    """Opening and closing a link takes the client 20 ms instead of half a second each; nothing else is touched."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (_servicebus_receiver, _servicebus_sender, _session_browser, client):
            patch.setattr(module, "time", Impatient(time))
        for module in (_servicebus_receiver_async, _servicebus_sender_async, _session_browser_async, _client_async):
            patch.setattr(module, "asyncio", Impatient(asyncio))
        yield


@contextmanager
def with_certificates_read_once() -> Iterator[None]:
    """Each client of httpx, so each `httpx.get`, would read all trusted certificates: 20 ms, for plain HTTP too.

    The Service Bus client does so for each connection, and then makes no use of them if it is a plain one.
    """
    with_tls = _transport_async.AsyncTransport._build_ssl_opts

    def build(transport: _transport_async.AsyncTransport, options: Any) -> Any:
        return with_tls(transport, options) if transport._use_tls else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx._transports.default, "create_ssl_context", functools.cache(httpx.create_ssl_context))
        patch.setattr(_transport_async.AsyncTransport, "_build_ssl_opts", build)
        yield
