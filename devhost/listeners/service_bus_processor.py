"""Runs a function for Service Bus messages and settles them by its outcome (functions-host.md §7)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from azure.servicebus.exceptions import MessageAlreadySettled, ServiceBusError

from devhost.invocation import FunctionInvocationError, TriggerData
from devhost.listeners.service_bus_entity import is_away
from devhost.listeners.service_bus_lock import LOST, LockRenewal
from devhost.listeners.service_bus_message import BadBodyError, batch_trigger_data, trigger_data

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

    from devhost.functions import Function
    from devhost.host import Host
    from devhost.listeners.service_bus_channel import Channel
    from devhost.listeners.service_bus_entity import Entity
    from devhost.listeners.service_bus_options import ServiceBusOptions

_log = logging.getLogger("devhost.servicebus")


class Processor:
    """Success completes, failure abandons at once; the broker counts, and dead-letters what failed too often."""

    def __init__(self, host: Host, function: Function, entity: Entity, options: ServiceBusOptions) -> None:
        properties = function.trigger.properties
        self._host = host
        self._function = function
        self._entity = entity
        self._longest_renewal = options.max_lock_renewal
        own = properties.get("autoCompleteMessages")
        self._completes = options.auto_complete if own is None else bool(own)
        self._data_type = str(properties.get("dataType") or "").upper()

    async def run(self, channel: Channel, message: ServiceBusReceivedMessage) -> None:
        """One message, one invocation; its lock is renewed meanwhile (a session's lock is its holder's business)."""
        lock = LockRenewal(
            f"message {message.message_id} in '{self._entity.path}'",
            message.locked_until_utc,
            lambda: channel.link.receiver.renew_message_lock(message),
            self._longest_renewal,
        )
        try:
            make = partial(trigger_data, message, self._data_type)
            succeeded = await self._invoke(make, f"message {message.message_id}")
        finally:
            await lock.release()
        await self._settle(channel, message, succeeded)

    async def run_batch(self, channel: Channel, messages: Sequence[ServiceBusReceivedMessage]) -> None:
        """All messages, one invocation, one outcome for all. No lock is renewed, as in the real host."""
        make = partial(batch_trigger_data, messages, self._data_type)
        succeeded = await self._invoke(make, f"a batch of {len(messages)} messages")
        await asyncio.gather(*(self._settle(channel, message, succeeded) for message in messages))

    async def _invoke(self, make: Callable[[], TriggerData], what: str) -> bool:
        try:
            await self._host.invoke(self._function, make())
        except BadBodyError as error:
            _log.error("Function '%s' cannot be given %s: %s", self._function.name, what, error)
            return False
        except FunctionInvocationError:
            return False
        return True

    async def _settle(self, channel: Channel, message: ServiceBusReceivedMessage, succeeded: bool) -> None:
        """Complete or abandon, however long the service is away, until the lock has ended or the host stops."""
        if succeeded and not self._completes:
            return
        verb = "completed" if succeeded else "abandoned"
        while True:
            receiver = channel.link.receiver
            try:
                await (receiver.complete_message if succeeded else receiver.abandon_message)(message)
                return
            except LOST as error:
                _log.warning(
                    "Message %s of '%s' could not be %s, because its lock is lost: it is delivered again. Cause: %s. "
                    "If the function takes long, raise the entity's LockDuration or maxAutoLockRenewalDuration.",
                    message.message_id, self._entity.path, verb, error,
                )  # fmt: skip
                return
            except MessageAlreadySettled:
                return
            except (ServiceBusError, ValueError) as error:  # ValueError: that receiver has been closed
                if isinstance(error, ServiceBusError) and is_away(error):
                    self._host.outages.report(self._entity.namespace.name, error)
                if not await channel.replaced(receiver):
                    _log.warning(
                        "Message %s of '%s' could not be %s; it comes back when its lock ends. Cause: %s",
                        message.message_id, self._entity.path, verb, error,
                    )  # fmt: skip
                    return
