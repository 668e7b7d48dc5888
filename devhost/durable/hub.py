"""The task hub as the engine sees it: the one seam behind which an engine's state is kept.

A hub hands out *work* (an instance with its new messages and its history) and takes back *commits*. The engine asks
nothing more of it than at-least-once delivery: it recognises duplicates itself, and it never relies on a message being
stored together with the history that caused it. So a hub without transactions can stand here too, as long as it makes a
commit's outgoing messages durable before its history, and its history before it lets go of the consumed messages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Protocol


class EventType(IntEnum):
    """History events as the SDK numbers them (durable.md §1.2)."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    GENERIC = 17
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


class RuntimeStatus(StrEnum):
    """What an instance's row says of it."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    CONTINUED_AS_NEW = "ContinuedAsNew"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TERMINATED = "Terminated"
    CANCELED = "Canceled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to an instance in this state."""
        return self in _FINAL


_FINAL = frozenset({RuntimeStatus.COMPLETED, RuntimeStatus.FAILED, RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED})
LIVE = frozenset(RuntimeStatus) - _FINAL
"""The states in which an instance's id cannot be used again (overridableExistingInstanceStates NonRunningStates)."""


class Unchanged:
    """The type of UNCHANGED."""


UNCHANGED = Unchanged()
"""Stands for "leave that column as it is" where None means null."""


class InstanceExistsError(Exception):
    """An instance with this id exists in a state that does not allow it to be replaced."""

    def __init__(self, instance_id: str, status: RuntimeStatus) -> None:
        super().__init__(
            f"An Orchestration instance with the status {status} already exists. Choose another id than "
            f"'{instance_id}', wait for it to end or terminate it."
        )


class OwnershipLostError(Exception):
    """Somebody else owns this work by now: what this host did with it is void and has left no trace."""


@dataclass(slots=True)
class Message:
    """One history event on its way to an instance."""

    instance_id: str
    type: EventType
    text: str
    """The event as JSON text, as it will stand in the history, IsPlayed false."""
    key: int | str | None = None
    """TaskScheduledId or TimerId of a completion, Name of a raised event."""
    execution_id: str | None = None
    """The execution that is meant; None means whichever is current (messages of clients)."""
    due: datetime | None = None
    """Not to be delivered before this moment of the host's clock; None means at once."""
    sequence: int = 0
    """The hub's handle; 0 until the hub has it."""


@dataclass(slots=True)
class Activity:
    """A call of an activity function that an orchestration has scheduled."""

    instance_id: str
    execution_id: str
    task_id: int
    name: str
    input: str | None
    """The SDK's JSON text."""
    sequence: int = 0


@dataclass(slots=True)
class Instance:
    """An instance's row, without its input and output."""

    id: str
    execution_id: str
    name: str
    version: str
    status: RuntimeStatus
    created: datetime
    updated: datetime
    custom_status: str | None = None
    """JSON text, or None when never set."""
    generation: int = 0


@dataclass(slots=True)
class InstanceView:
    """An instance's row with its input and output, as clients see it."""

    instance: Instance
    input: str | None
    """ExecutionStarted.Input: JSON text. For an entity: the scheduler's state."""
    output: str | None
    """JSON text of a completed one; plain text of a failure or of a terminate or suspend reason."""


@dataclass(slots=True)
class InstanceQuery:
    """Which instances a client asks for; None means any."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Collection[RuntimeStatus] | None = None
    id_prefix: str | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    top: int | None = None
    after_id: str | None = None
    """Start after this id (ids are returned in ascending order)."""
    with_input: bool = True
    entities: bool | None = None
    """True: only entities; False: none; None: both."""


@dataclass(slots=True)
class Work:
    """An instance that this host may run now. Ends with a commit or a release."""

    instance: Instance
    messages: list[Message]
    """All that has arrived, oldest first."""
    revision: int
    """Grows with every commit of the instance; equal revisions mean equal histories."""
    history: list[str] | None
    """Its events as JSON texts, each item one event or several joined by commas; None when the revision is the one that
    the caller knows."""
    input: str | None
    """The row's input, loaded together with the history."""


@dataclass(slots=True)
class Commit:
    """What an episode changes, all or nothing."""

    instance: Instance
    consumed: list[Message] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    """Appended to the history."""
    restart: bool = False
    """Forget the history first: a new execution begins."""
    messages: list[Message] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    deferred: list[Message] = field(default_factory=list)
    """Came too early (the event they answer is not in the history yet): to be delivered again a little later."""
    input: str | None | Unchanged = UNCHANGED
    output: str | None | Unchanged = UNCHANGED
    keep: bool = False
    """Whether the instance is expected to have work on this host again soon."""


class TaskHub(Protocol):
    """Where instances, their histories and their messages live. All methods belong to one event loop.

    Whatever returns has been made durable: a kill of the process after the return loses nothing of it.
    """

    async def start(self, ready: Callable[[str], None], activities_waiting: Callable[[], None]) -> None:
        """Join the hub. From now on `ready(instance_id)` is called when a message for an instance that this host might
        run can be delivered, `activities_waiting()` when there may be activities to claim. Both may be called in vain.
        """

    async def close(self) -> None:
        """Leave the hub: what this host still holds is free for others."""

    async def fetch(self, instance_id: str, known_revision: int | None) -> Work | None:
        """Take an instance with its messages; None when another host has it, it is taken already, or has nothing."""

    async def commit(self, work: Work, commit: Commit, capacity: int) -> list[Activity]:
        """Store an episode. Returns those of its activities, at most `capacity`, that this host is to run now.
        `work.revision` is the new one afterwards.

        Raises OwnershipLostError when the instance has been taken over or replaced meanwhile.
        """

    async def release(self, work: Work) -> None:
        """Give work back undone: its messages will be delivered again."""

    async def claim_activities(self, limit: int) -> list[Activity]:
        """Take up to `limit` activities that nobody runs."""

    async def complete_activity(self, activity: Activity, answer: Message) -> None:
        """Store an activity's answer and forget the activity. Raises OwnershipLostError."""

    async def release_activity(self, activity: Activity) -> None:
        """Give an activity back: it will be run again, here or elsewhere."""

    async def is_idle(self) -> bool:
        """Whether no message can be delivered now and no activity is to be run.

        Timers of the future do not count, but the clock knows of the next one.
        """

    async def create(self, instance: Instance, start: Message, input: str | None, blocking: Collection[str]) -> None:
        """Create an instance and its first message, or replace the one with its id (the generation grows).

        Raises InstanceExistsError when there is one whose status is among `blocking`.
        """

    async def send(self, message: Message) -> bool:
        """Send a message to an instance; False when it does not exist. An entity comes to be by its first message."""

    async def get(self, instance_id: str) -> InstanceView | None:
        """One instance."""

    async def query(self, query: InstanceQuery) -> list[InstanceView]:
        """Instances in the order of their ids."""

    async def history(self, instance_id: str) -> list[str]:
        """The current execution's events as JSON texts."""

    async def purge(self, instance_ids: Sequence[str]) -> int:
        """Forget instances with all that belongs to them; returns how many there were."""

    async def rewrite(self, instance: Instance, history: Sequence[str], messages: Sequence[Message]) -> bool:
        """Replace a Failed instance's row and history, and send messages; False when it is not Failed any more."""
