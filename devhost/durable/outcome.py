"""What an orchestrator's answer means: its actions, its end, its custom status."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from devhost.durable.failures import split_orchestrator_error
from devhost.invocation import FunctionInvocationError

_CUSTOM_STATUS_BYTES = 16 * 1024


class StateError(Exception):
    """The orchestrator's answer cannot be used; the text says why and fails the instance."""


@dataclass(slots=True)
class Answer:
    """The state an orchestrator function came back with (durable.md §2.1)."""

    actions: list[dict[str, Any]] | None
    """None when the function failed without saying what it had done so far."""
    is_done: bool = False
    output: str | None = None
    """JSON text."""
    error: str | None = None
    custom_status: str | None = None
    """JSON text; None when not set."""
    schema_version: int = 0

    @classmethod
    def from_state(cls, text: str | None) -> Answer:
        """A function that returned. Raises StateError."""
        try:
            state = json.loads(text or "")
            return cls._read(state)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise StateError(
                f"the orchestrator function answered with something that is not an orchestration state ({error!r}). "
                "Is it declared with @app.orchestration_trigger of azure-functions-durable 1.x?"
            ) from error

    @classmethod
    def from_failure(cls, failure: FunctionInvocationError) -> Answer:
        """A function that raised: the SDK puts the state behind the error's text (durable.md §3)."""
        message = failure.message.removeprefix("Exception: ")
        try:
            error, state = split_orchestrator_error(message)
            if state is not None:
                answer = cls._read(state)
                answer.error = error
                return answer
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            pass
        return cls(None, error=failure.text)

    @classmethod
    def _read(cls, state: dict[str, Any]) -> Answer:
        lists = state["actions"]
        schema = int(state.get("schemaVersion") or 0)
        if schema == 0 and lists:
            raise StateError(
                "the orchestrator speaks an old protocol (schema version 0): upgrade azure-functions-durable to 1.2 or "
                "later"
            )
        if len(lists) > 1:
            raise StateError(f"the orchestrator's answer holds {len(lists)} lists of actions where one is expected")
        output, status = state.get("output"), state.get("customStatus")
        return cls(
            actions=lists[0] if lists else [],
            is_done=bool(state.get("isDone")),
            output=None if output is None else json.dumps(output, separators=(",", ":")),
            error=str(state["error"]) if state.get("error") else None,
            custom_status=None if status is None else _custom_status(status),
            schema_version=schema,
        )


def _custom_status(status: Any) -> str:
    text = json.dumps(status, separators=(",", ":"))
    size = len(json.dumps(status, separators=(",", ":"), ensure_ascii=False).encode("utf-16-le", "surrogatepass"))
    if size > _CUSTOM_STATUS_BYTES:
        raise StateError(
            f"the custom status has {size} bytes as UTF-16 JSON, and {_CUSTOM_STATUS_BYTES} are allowed: "
            "keep large data in an activity's result or in a blob, and put a reference into the status"
        )
    return text
