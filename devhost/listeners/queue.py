"""The storage queue trigger: runs one function for each message of one queue (functions-host.md §4)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from devhost.invocation import FunctionInvocationError
from devhost.listeners.queue_consumer import Outcome, QueueConsumer
from devhost.listeners.queue_message import BadTextError, UndecodableError, decode, trigger_data
from devhost.storage.queue import Queue, ReceivedMessage, check_queue_name, is_valid_queue_name
from devhost.storage.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host

_log = logging.getLogger("devhost.queues")

POISON_SUFFIX = "-poison"


class QueueListener:
    """Watches one queue for one function. Runs up to batchSize + newBatchThreshold messages at once."""

    def __init__(self, host: Host, function: Function) -> None:
        """Raises what StorageAccounts.account raises, InvalidQueueNameError, QueueOptionsError."""
        properties = function.trigger.properties
        service = host.storage.queues(properties.get("connection"))
        options = QueueOptions.from_host(host)
        self._host = host
        self._function = function
        self._queue = service.queue(check_queue_name(properties["queueName"]))
        self._is_base64 = options.message_encoding == "base64"
        self._is_binary = str(properties.get("dataType", "")).upper() == "BINARY"
        poison = _poison_queue(self._queue)
        self._consumer = QueueConsumer(host, self._queue, options, self._handle, lambda message: poison)

    async def start(self) -> None:
        """Begin to poll. A missing queue or a service that is away is no error: polling goes on until it is there."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Take no more messages; hand back those just taken; wait for the running ones and their settlement."""
        await self._consumer.stop()

    async def is_idle(self) -> bool:
        """Nothing runs, and a look into the queue shows no visible message (unless the service is away)."""
        return await self._consumer.is_idle()

    async def _handle(self, message: ReceivedMessage) -> Outcome:
        try:
            body = decode(message.text, self._is_base64)
            trigger = trigger_data(self._queue.name, message, body, self._is_binary)
            await self._host.invoke(self._function, trigger)
            return Outcome.DONE
        except UndecodableError:
            _log.warning("Message decoding has failed! Check MessageEncoding settings. MessageId=%s.", message.id)
            return Outcome.HOPELESS
        except BadTextError as error:
            _log.error("Function '%s' cannot be given message %s: %s", self._function.name, message.id, error)
        except FunctionInvocationError:
            pass  # it is in the log
        return Outcome.FAILED


def _poison_queue(queue: Queue) -> Queue | None:
    """Where failed messages end; None for a poison queue itself, and where the name would be too long."""
    name = queue.name + POISON_SUFFIX
    if queue.name.endswith(POISON_SUFFIX) or not is_valid_queue_name(name):
        return None
    return queue.service.queue(name)
