"""What stands between a sample that asks Entra ID for a token and the local bus: Python imports this before the sample.

`azure.identity` gives the emulator's key instead, clients speak plain TCP as for the emulator, and pauses that show a
lock of a minute being renewed (30 s and more) are as much shorter as the locks of the bus under test are.
"""

import asyncio
import functools
import os
import sys
import time
import types

import azure.servicebus
import azure.servicebus.aio
from azure.core.credentials import AzureNamedKeyCredential

SHORTENED_BY = 13


class DefaultAzureCredential(AzureNamedKeyCredential):
    """The key of the local bus."""

    def __init__(self) -> None:
        super().__init__(os.environ["SERVICEBUS_SAS_POLICY"], os.environ["SERVICEBUS_SAS_KEY"])

    def __enter__(self) -> "DefaultAzureCredential":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    async def __aenter__(self) -> "DefaultAzureCredential":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def close(self) -> None:
        """There is nothing to close."""


def shortened(sleep):
    @functools.wraps(sleep)
    def shorter(seconds, *others):
        return sleep(seconds / SHORTENED_BY if seconds >= 30 else seconds, *others)

    return shorter


for name in ("azure.identity", "azure.identity.aio"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].DefaultAzureCredential = DefaultAzureCredential
for client in (azure.servicebus.ServiceBusClient, azure.servicebus.aio.ServiceBusClient):
    client.__init__ = functools.partialmethod(client.__init__, use_tls=False)
time.sleep, asyncio.sleep = shortened(time.sleep), shortened(asyncio.sleep)
