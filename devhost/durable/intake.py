"""Which of an instance's messages an episode takes, which it drops, and which must wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from devhost.durable.execution import ANSWERS, Execution
from devhost.durable.hub import EventType, Instance, Message, RuntimeStatus, Work

_MAY_BE_A_RETRYS_FAILURE = frozenset({EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED, EventType.TIMER_FIRED})


@dataclass(slots=True)
class Intake:
    """An episode's messages."""

    execution: Execution | None = None
    """None: nobody is there to hear the messages (finished, purged, never started)."""
    started: bool = False
    """The execution begins with this episode."""
    accepted: list[Message] = field(default_factory=list)
    dropped: list[Message] = field(default_factory=list)
    deferred: list[Message] = field(default_factory=list)
    terminated: Message | None = None
    suspended: Message | None = None
    resumed: bool = False
    waits: bool = False
    """Nothing happens now: the messages stay where they are."""


def take(work: Work, known: Execution | None, may_start: Callable[[str], bool]) -> Intake:
    """Sort the messages of `work`. `known`: the execution as the last episode left it, if it is still current;
    `may_start(version)`: whether an instance of this version is run here.
    """
    intake = Intake()
    messages = _begin(work, known, may_start, intake)
    if intake.waits:
        return intake
    if intake.execution is None:
        intake.dropped = messages
        return intake
    mine: list[Message] = []
    for message in messages:
        is_mine = message.execution_id is None or message.execution_id == intake.execution.id
        (mine if is_mine else intake.dropped).append(message)
    intake.terminated = next((m for m in mine if m.type == EventType.EXECUTION_TERMINATED), None)
    if intake.terminated is not None:
        intake.dropped += [m for m in mine if m.type != EventType.EXECUTION_STARTED and m is not intake.terminated]
        intake.accepted = [m for m in mine if m.type == EventType.EXECUTION_STARTED]
        return intake
    if work.instance.status == RuntimeStatus.SUSPENDED:
        mine = _resume(mine, intake)
    if not intake.waits:
        _accept(mine, intake)
    return intake


def _begin(work: Work, known: Execution | None, may_start: Callable[[str], bool], intake: Intake) -> list[Message]:
    """Find or begin the execution. An ExecutionStarted comes first, whatever came before it."""
    instance, messages = work.instance, work.messages
    if not instance.status.is_final:
        intake.execution = known
        if known is None and work.history:
            intake.execution = Execution.load(instance.id, work.history)
    starts = [m for m in messages if m.type == EventType.EXECUTION_STARTED]
    if not starts:
        return messages
    others = [m for m in messages if m.type != EventType.EXECUTION_STARTED]
    if intake.execution is not None:  # it has been started before
        intake.dropped += starts
        return others
    start = _current(starts, instance)
    intake.dropped += [m for m in starts if m is not start]
    execution = Execution.begin(start)
    if not may_start(execution.version):
        intake.waits = True
        return messages
    intake.execution, intake.started = execution, True
    return [start, *others]


def _current(starts: list[Message], instance: Instance) -> Message:
    return next((m for m in starts if m.execution_id == instance.execution_id), starts[-1])


def _resume(messages: list[Message], intake: Intake) -> list[Message]:
    """What is left of a suspended instance's messages: nothing until a resume is among them, then all, in order."""
    resume = next((m for m in messages if m.type == EventType.EXECUTION_RESUMED), None)
    before = messages if resume is None else messages[: messages.index(resume)]
    repeated = [m for m in before if m.type == EventType.EXECUTION_SUSPENDED]
    intake.dropped += repeated
    if resume is None:
        intake.waits = not intake.dropped
        return []
    intake.resumed = True
    return [resume, *(m for m in messages if m is not resume and m not in repeated)]


def _accept(messages: list[Message], intake: Intake) -> None:
    execution = intake.execution
    if execution.replay is not None:
        execution.replay.begin()
    seen: set[int | str | None] = set()
    for message in messages:
        if message.type == EventType.EXECUTION_SUSPENDED:
            if not intake.accepted:
                intake.suspended = message
            return
        if message.type in ANSWERS:
            expected = execution.expects(message)
            if expected is None:
                intake.deferred.append(message)
                continue
            if not expected or message.key in seen:
                intake.dropped.append(message)
                continue
            seen.add(message.key)
        intake.accepted.append(message)
        if not _admit(execution, message):
            return


def _admit(execution: Execution, message: Message) -> bool:
    """Whether more messages may follow in this episode (see replay.py)."""
    if execution.replay is not None:
        return execution.replay.admit(message.type, message.key, message.text)
    # The history has just been loaded: nothing is known of its tasks until the orchestrator has been asked.
    return message.type not in _MAY_BE_A_RETRYS_FAILURE
