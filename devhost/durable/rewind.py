"""A failed instance's history as it was before its failures (durable.md §7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from devhost.durable.hub import EventType

_FAILURES = frozenset({EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED})
_ATTEMPTS = frozenset({EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_CREATED})
_SUCCESSES = frozenset({EventType.TASK_COMPLETED, EventType.SUB_ORCHESTRATION_COMPLETED})


@dataclass(slots=True)
class Rewound:
    """A history in which the failures mean nothing any more."""

    events: list[dict[str, Any]]
    failed_children: list[str]
    """Instance ids of sub-orchestrations whose failure was undone: they must be rewound too, and will answer again."""


def rewound(history: Iterable[dict[str, Any]]) -> Rewound:
    """Turn failures, the end and what is to be scheduled again into events that nobody reads.

    A failed activity's scheduling event goes too, so that it is scheduled again under the same id. A failed sub-
    orchestration's stays: the child goes on and answers. Of a call with retries that failed for good all attempts and
    timers go, and it begins with a first attempt; one that has succeeded in the end stays as it is. Parallel calls
    whose retries were interleaved may get other ids than before; such an instance fails again as non-deterministic, as
    it does in the real host.
    """
    events = list(history)
    chains = _chains(events)
    gone: set[int] = set()
    kept_failures: set[int] = set()
    for chain in chains:
        if chain.succeeded:
            kept_failures.update(chain.ids)
        elif len(chain.ids) > 1 or not chain.is_child:
            gone.update(chain.ids)
    children: list[str] = []
    result: list[dict[str, Any]] = []
    for event in events:
        kind = event["EventType"]
        answered = event.get("TaskScheduledId", event.get("TimerId"))
        if kind in _FAILURES and answered not in kept_failures:
            if kind == EventType.SUB_ORCHESTRATION_FAILED and answered not in gone:
                children += [chain.child for chain in chains if answered in chain.ids and chain.child]
            result.append(_generic(event))
        elif kind == EventType.EXECUTION_COMPLETED or event["EventId"] in gone or answered in gone:
            result.append(_generic(event))
        else:
            # How many actions there were at the end of an episode is not true any more.
            result.append({key: value for key, value in event.items() if key != "ActionCount"})
    return Rewound(result, children)


@dataclass(slots=True)
class _Chain:
    """The attempts and timers of one call."""

    ids: set[int]
    is_child: bool
    child: str | None
    succeeded: bool = False


def _chains(events: list[dict[str, Any]]) -> list[_Chain]:
    by_id: dict[int, _Chain] = {}
    chains: list[_Chain] = []
    for event in events:
        kind, identifier = event["EventType"], event["EventId"]
        chain = by_id.get(event.get("RetryOf"))
        if chain is not None:
            chain.ids.add(identifier)
            by_id[identifier] = chain
        elif kind in _ATTEMPTS:
            is_child = kind == EventType.SUB_ORCHESTRATION_CREATED
            chain = by_id[identifier] = _Chain({identifier}, is_child, event.get("InstanceId"))
            chains.append(chain)
        elif kind in _SUCCESSES and event["TaskScheduledId"] in by_id:
            by_id[event["TaskScheduledId"]].succeeded = True
    failed = {event["TaskScheduledId"] for event in events if event["EventType"] in _FAILURES}
    return [chain for chain in chains if chain.ids & failed]


def _generic(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "EventType": int(EventType.GENERIC),
        "EventId": -1,
        "IsPlayed": True,
        "Timestamp": event["Timestamp"],
        "Data": f"Rewound: {event.get('Reason') or event.get('Name') or ''}".rstrip(),
    }
