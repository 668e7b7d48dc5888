"""What messages are sent to: the checks, duplicate detection and scheduling that queues and topics share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.delivery import MessageState
from devhost.servicebus.descriptions import QueueDescription, SubscriptionDescription, TopicDescription
from devhost.servicebus.duplicates import DuplicateHistory
from devhost.servicebus.errors import (
    EntityDisabledError,
    MessageNotFoundError,
    MessageSizeExceededError,
    NotAllowedError,
    QuotaExceededError,
)
from devhost.servicebus.message import Message
from devhost.servicebus.message_log import MessageLog
from devhost.servicebus.namespace import Namespace

_MEGABYTE = 1 << 20


class Target(ABC):
    """A queue or a topic, from the side of its senders."""

    path: str
    description: QueueDescription | TopicDescription | SubscriptionDescription
    log: MessageLog
    """Where its scheduled messages wait, and where its numbers come from."""

    def __init__(self, entity_id: int, namespace: Namespace) -> None:
        self.entity_id = entity_id
        self.duplicates = DuplicateHistory(entity_id, namespace.store)
        self.accessed_at = 0
        """When it was last sent to, ms since 1970; 0: not since the bus was started."""
        self._namespace = namespace

    @property
    def max_message_size(self) -> int:
        """In bytes."""
        return self.description.max_message_size

    @property
    def requires_session(self) -> bool:
        """Whether each message must have a session id."""
        return False

    @property
    @abstractmethod
    def size_in_bytes(self) -> int:
        """What counts towards its quota."""

    @abstractmethod
    def accept(self, message: BrokeredMessage, ttl: int | None = None) -> None:
        """A message that is to be enqueued now, and to live no longer than `ttl` ms."""

    @abstractmethod
    def _hold(self, message: BrokeredMessage) -> None:
        """A scheduled message waits from now on."""

    @abstractmethod
    def _let_go(self, message: BrokeredMessage) -> None:
        """It does not wait any more."""

    @abstractmethod
    def _drop(self, message: BrokeredMessage) -> None:
        """It was cancelled."""

    # --- senders ----------------------------------------------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        """Enqueue or schedule all of them, or none; duplicates are dropped silently.

        Raises EntityDisabledError, MessageSizeExceededError, QuotaExceededError, NotAllowedError.
        """
        self._take_in(messages)

    def schedule(self, messages: Sequence[Message]) -> list[int]:
        """Like `send`; the answer has their sequence numbers, with which they can be cancelled."""
        return self._take_in(messages)

    def cancel(self, sequence_numbers: Sequence[int]) -> None:
        """Drop these scheduled messages, all or none. Raises MessageNotFoundError."""
        self._namespace.catch_up()
        waiting = []
        for number in dict.fromkeys(sequence_numbers):
            message = self.log.messages.get(number)
            if message is None or message.state is not MessageState.SCHEDULED:
                raise MessageNotFoundError(
                    f"'{self.path}' holds no scheduled message {number}: it was enqueued by now, or cancelled before."
                )
            waiting.append(message)
        for message in waiting:
            self._drop(message)

    def check_open(self) -> None:
        """Raises EntityDisabledError."""
        if self.description.status in ("Disabled", "SendDisabled"):
            raise EntityDisabledError(
                f"'{self.path}' takes no messages: its status is {self.description.status}. Set it to Active."
            )

    def receive_transfer(self, message: BrokeredMessage) -> None:
        """A message that another entity forwards; `check_transfer` came first."""
        if self._is_duplicate(message.message, self._namespace.now()):
            self._namespace.store.remove(message)
        else:
            self.accept(message)

    def check_transfer(self, message: Message) -> None:
        """Raises what `send` would, but takes what has no session id: that is dead-lettered on arrival."""
        self.check_open()
        self._check_sizes([message])

    def wait(self, message: BrokeredMessage) -> None:
        """Enqueue a scheduled message when its time comes."""
        assert message.scheduled_at is not None
        message.appointment = self._namespace.agenda.at(message.scheduled_at, self._enqueue_scheduled, message)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _take_in(self, messages: Sequence[Message]) -> list[int]:
        now = self._namespace.catch_up()
        self.check_open()
        self._check_sizes(messages)
        if self.requires_session and any(message.session_id is None for message in messages):
            raise NotAllowedError(
                f"'{self.path}' requires sessions: a message to it must have a session id. Set session_id."
            )
        self.accessed_at = now
        numbers = []
        for message in messages:
            if self._is_duplicate(message, now):
                numbers.append(self.log.next_number())
                continue
            brokered = self._namespace.receive(message)
            moment = message.scheduled_at
            if moment is not None and moment > now:
                brokered.renumber(self.log.next_number())
                brokered.enqueued_at = now
                brokered.scheduled_at = moment
                brokered.state = MessageState.SCHEDULED
                self._hold(brokered)
                self.wait(brokered)
                numbers.append(brokered.sequence_number)
            else:
                self.accept(brokered)
                numbers.append(brokered.sequence_number)
        return numbers

    def _enqueue_scheduled(self, message: BrokeredMessage) -> None:
        self._let_go(message)
        message.state = MessageState.ACTIVE
        self.accept(message)

    def _is_duplicate(self, message: Message, now: int) -> bool:
        description = self.description
        return description.requires_duplicate_detection and self.duplicates.is_repeated(
            message.message_id, now, description.duplicate_detection_window
        )

    def _check_sizes(self, messages: Sequence[Message]) -> None:
        limit = self.max_message_size
        total = 0
        for message in messages:
            total += message.size
            if message.size > limit:
                raise MessageSizeExceededError(
                    f"The message has {message.size} bytes, and '{self.path}' takes {limit}. Store the body elsewhere"
                    " and send a reference (claim check), or raise the entity's limit."
                )
        quota = self.description.max_size_in_megabytes * _MEGABYTE
        if self.size_in_bytes + total > quota:
            raise QuotaExceededError(
                f"'{self.path}' is full: {self.size_in_bytes} bytes of {quota}. Receive, or empty its dead-letter"
                " queue."
            )
