"""One batch of an entity's operations: requests and its state go in, a commit with answers comes out.

Operations run in the order in which their messages reached the hub. That is the order in which each sender sent them,
as all senders write to one hub; the real host's sorter (Timestamp, Predecessor) has nothing to do here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from devhost.durable import events, failures
from devhost.durable.hub import Commit, EventType, Message, RuntimeStatus, Work
from devhost.durable.options import DurableOptions
from devhost.durable.worker import UnknownFunctionError, Worker
from devhost.invocation import FunctionInvocationError


def is_entity(instance_id: str) -> bool:
    """Whether an instance's id is that of an entity."""
    return instance_id.startswith("@")


def entity_id(name: str, key: str) -> str:
    """An entity's instance id: the name in lower case, the key as it is (durable.md §4.3)."""
    return f"@{name.lower()}@{key}"


def split_entity_id(instance_id: str) -> tuple[str, str]:
    """Name and key; the key may hold further '@'."""
    name, _, key = instance_id[1:].partition("@")
    return name, key


def entity_state(scheduler_state: str | None) -> str | None:
    """An entity's state as JSON text from its row's input; None when it does not exist."""
    state = json.loads(scheduler_state) if scheduler_state else {}
    return state.get("state") or "null" if state.get("exists") else None


def request_text(operation: str, input: str | None, request_id: str) -> str:
    """A client's signal. `input` is JSON text."""
    return json.dumps({"op": operation, "signal": True, "input": input, "id": request_id})


@dataclass(slots=True)
class EntityRunner:
    """Runs batches with one worker."""

    worker: Worker
    options: DurableOptions
    now: Callable[[], datetime]

    async def run(self, work: Work, known_state: str | None) -> tuple[Commit, str | None]:
        """Run one batch. `known_state`: the scheduler's state, if the revision is still the one it came with.

        Returns the commit and the new state. Raises CancelledError when the worker is lost; nothing has happened then.
        """
        now = self.now()
        taken = work.messages[: self.options.max_entity_batch]
        requests = [request for message in taken if (request := _request(message)) is not None]
        name, key = split_entity_id(work.instance.id)
        before = known_state if known_state is not None else work.input or "{}"
        state = json.loads(before)
        results: list[dict[str, Any]] = []
        if requests:
            payload = {
                "self": {"name": name, "key": key},
                "exists": bool(state.get("exists")),
                "state": state.get("state"),
                "batch": [
                    {"name": r["op"], "input": r.get("input"), "isSignal": bool(r.get("signal"))} for r in requests
                ],
            }
            results = await self._operate(name, json.dumps(payload), work.instance.id, state, len(requests))
        after = json.dumps({key: value for key, value in state.items() if value})
        instance = replace(work.instance, updated=now, status=RuntimeStatus.RUNNING)
        instance.custom_status = json.dumps(
            {"entityExists": bool(state.get("exists")), "queueSize": len(work.messages) - len(taken)}
        )
        answers = [
            _answer(request, result, events.timestamp(now))
            for request, result in zip(requests, results, strict=True)
            if not request.get("signal") and request.get("parent")
        ]
        return Commit(instance, taken, messages=answers, input=after), after

    async def _operate(
        self, name: str, payload: str, instance_id: str, state: dict[str, Any], count: int
    ) -> list[dict[str, Any]]:
        """Run the entity function; puts the new state into `state`. Returns a result for each operation."""
        try:
            result = json.loads(await self.worker.run_entity(name, payload, instance_id))
            results = result["results"]
            if len(results) != count:
                raise ValueError(f"{len(results)} results for {count} operations")
            state["exists"] = bool(result["entityExists"])
            state["state"] = result["entityState"] if state["exists"] else None
            return results
        except FunctionInvocationError as error:
            text = error.message
        except UnknownFunctionError:
            text = failures.unknown_function(name, "an entity", self.worker.entities)
        except (ValueError, KeyError, TypeError) as error:
            text = f"the entity function answered with something that is not an entity's result ({error!r})"
        return [{"isError": True, "result": json.dumps(text)}] * count


def _request(message: Message) -> dict[str, Any] | None:
    if message.type != EventType.EVENT_RAISED:
        return None
    request = json.loads(json.loads(message.text)["Input"] or "{}")
    return request if "op" in request else None


def _answer(request: dict[str, Any], result: dict[str, Any], at: str) -> Message:
    body = {"result": result.get("result")}
    if result.get("isError"):
        body["exceptionType"] = "Error"
    text = events.event_raised(at, request["id"], json.dumps(body))
    return Message(request["parent"], EventType.EVENT_RAISED, text, request["id"], request.get("parentExecution"))
