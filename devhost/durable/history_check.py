"""Replays a saved history through an app's present code, and finds the first thing that the code does differently.

As a host would that has the new code from now on, at each moment of the instance's life: it is given the history up to
there and what came next, and every decision in that history must be made again. What comes after the last recorded
decision is free: a running instance has not got there yet.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from devhost.durable.determinism import DECISIONS, NonDeterministicOrchestrationError
from devhost.durable.execution import Execution
from devhost.durable.hub import EventType, RuntimeStatus
from devhost.durable.outcome import Answer
from devhost.durable.saved_history import SavedHistory
from devhost.durable.tasks import ActionType, action_type
from devhost.invocation import FunctionInvocationError

Run = Callable[[str, str, str], Awaitable[str]]
"""Runs an orchestrator: its name, the payload, the instance. Returns the SDK's state."""

_OWN = frozenset({*DECISIONS, EventType.ORCHESTRATOR_COMPLETED, EventType.EXECUTION_COMPLETED})
"""Events that an episode adds; all others come to it."""
_CALLS = {
    ActionType.CALL_ACTIVITY: "activity",
    ActionType.CALL_ACTIVITY_WITH_RETRY: "activity",
    ActionType.CALL_SUB_ORCHESTRATOR: "sub-orchestration",
    ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY: "sub-orchestration",
}
_ENTITIES = frozenset({ActionType.CALL_ENTITY, ActionType.SIGNAL_ENTITY, ActionType.SCHEDULED_SIGNAL_ENTITY})


@dataclass(frozen=True)
class Difference:
    """The first decision that the code does not make again."""

    event: int
    """Its place in the history, from 1."""
    recorded: str
    decided: str


@dataclass(frozen=True)
class Replayed:
    """What came of replaying a history."""

    episodes: int
    difference: Difference | None = None
    goes_on: bool = False
    """Whether the code does more where the recorded instance had ended; no running instance minds."""


async def check(history: SavedHistory, run: Run) -> Replayed:
    """Replay a history episode by episode. `run` may raise FunctionInvocationError, as an orchestrator that fails."""
    episodes = _episodes(history.events)
    ending = _ending(history.events)
    for number, (begin, end) in enumerate(episodes):
        if begin == 0:
            continue
        arrived = [event for event in history.events[begin:end] if event["EventType"] not in _OWN]
        found = await _Replay(history, begin, run).at(arrived)
        if isinstance(found, Difference):
            return Replayed(number, found)
    if ending is None:
        found = await _Replay(history, len(history.events), run).at([])
        return Replayed(len(episodes), found if isinstance(found, Difference) else None)
    if len(episodes) == 1:
        return Replayed(1)
    return _compare_ends(history.events[ending], ending, found, len(episodes))


def _episodes(history: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Where each begins and ends."""
    starts = [place for place, event in enumerate(history) if event["EventType"] == EventType.ORCHESTRATOR_STARTED]
    return list(zip(starts, [*starts[1:], len(history)], strict=True))


def _ending(history: list[dict[str, Any]]) -> int | None:
    """The place of the event that ended the instance."""
    kinds = (EventType.EXECUTION_COMPLETED, EventType.EXECUTION_TERMINATED)
    return next((place for place, event in enumerate(history) if event["EventType"] in kinds), None)


def _compare_ends(event: dict[str, Any], place: int, answer: Answer, episodes: int) -> Replayed:
    recorded = event.get("OrchestrationStatus")
    if recorded == RuntimeStatus.COMPLETED and answer.error is not None:
        difference = Difference(place + 1, "the end, Completed", f"an error: {_first_line(answer.error)}")
        return Replayed(episodes, difference)
    return Replayed(episodes, goes_on=recorded == RuntimeStatus.COMPLETED and not answer.is_done)


class _Replay:
    """The history up to a place, as a host loads it that has not run the instance so far."""

    def __init__(self, history: SavedHistory, place: int, run: Run) -> None:
        self._instance = history.instance
        self._stored = history.events[:place]
        self._run = run

    async def at(self, arrived: list[dict[str, Any]]) -> Answer | Difference:
        """Have the orchestrator go on with what has arrived: its answer, or the first difference in what is stored."""
        execution = self._load(self._stored)
        payload = execution.payload([json.dumps({**event, "IsPlayed": False}) for event in arrived])
        answer = await self._ask(execution.name, payload)
        try:
            execution.rebuild(answer.actions or [])
        except NonDeterministicOrchestrationError as error:
            return self._difference(self._located(answer) or error, answer)
        return answer

    async def _ask(self, name: str, payload: str) -> Answer:
        try:
            return Answer.from_state(await self._run(name, payload, self._instance))
        except FunctionInvocationError as error:
            return Answer.from_failure(error)

    def _load(self, stored: list[dict[str, Any]]) -> Execution:
        return Execution.load(self._instance, [json.dumps(event) for event in stored])

    def _located(self, answer: Answer) -> NonDeterministicOrchestrationError | None:
        """Counting actions tells that one is missing; going by the ids alone also tells which."""
        uncounted = [{name: value for name, value in event.items() if name != "ActionCount"} for event in self._stored]
        try:
            self._load(uncounted).rebuild(answer.actions or [])
        except NonDeterministicOrchestrationError as error:
            return error
        return None

    def _difference(self, error: NonDeterministicOrchestrationError, answer: Answer) -> Difference:
        if error.event is None:
            # Waits leave no event of their own, so it is one of these that is missing.
            return Difference(len(self._stored), "more than that: a wait, too", _rest(answer))
        place = next(
            place
            for place, event in enumerate(self._stored)
            if event["EventType"] in DECISIONS and event["EventId"] == error.event["EventId"]
        )
        decided = _rest(answer) if error.task is None else _named(error.task.type, error.task.action)
        return Difference(place + 1, _recorded(error.event), decided)


def _recorded(event: dict[str, Any]) -> str:
    match event["EventType"]:
        case EventType.TASK_SCHEDULED:
            return f"activity '{event['Name']}'"
        case EventType.SUB_ORCHESTRATION_CREATED:
            return f"sub-orchestration '{event['Name']}'"
        case EventType.EVENT_SENT:
            return f"a message to the entity {event['InstanceId']}"
    return "a timer"


def _named(kind: ActionType, action: dict[str, Any]) -> str:
    if kind in _CALLS:
        return f"{_CALLS[kind]} '{action['functionName']}'"
    if kind == ActionType.WAIT_FOR_EXTERNAL_EVENT:
        return f"a wait for the event '{action['externalEventName']}'"
    if kind in (ActionType.WHEN_ANY, ActionType.WHEN_ALL):
        parts = [_named(action_type(each), each) for each in action["compoundActions"]]
        return f"{'any' if kind == ActionType.WHEN_ANY else 'all'} of: {', '.join(parts) or 'nothing'}"
    if kind in _ENTITIES:
        return f"a message to the entity {action['instanceId']}"
    if kind == ActionType.CREATE_TIMER:
        return "a timer"
    return kind.name.lower().replace("_", " ")


def _rest(answer: Answer) -> str:
    """What the code does instead of deciding anything more."""
    if answer.error is not None:
        return f"an error: {_first_line(answer.error)}"
    if answer.is_done:
        return "the end"
    if not answer.actions:
        return "nothing"
    return f"nothing more, after {_named(action_type(answer.actions[-1]), answer.actions[-1])}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
