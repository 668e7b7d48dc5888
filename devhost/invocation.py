"""One call of one function: what a trigger hands over, and how a failure comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from azure.functions.meta import Datum


@dataclass(slots=True)
class TriggerData:
    """What a trigger gives to an invocation."""

    value: Datum
    """The trigger's value as the host sends it to the worker (functions-host.md §2.2)."""
    metadata: Mapping[str, Datum] = field(default_factory=dict)
    """Trigger metadata as the host sends it (functions-host.md §2.1)."""
    reason: str = "(null)"
    """The Reason of the "Executing" line, e.g. "New queue message detected on 'q'."."""
    details: str = ""
    """What follows "Trigger Details: "; empty means no such line."""
    binding_data: Mapping[str, Any] = field(default_factory=dict)
    """Names that {expressions} in the other bindings may use."""
    inline: bool = False
    """Run a sync function on the event loop itself: for what is known to be short and not to block (orchestrators),
    since the way through the thread pool costs more than such a call."""


class FunctionInvocationError(Exception):
    """A user's function failed.

    `message` is "TypeName: text", `stack` the traceback, `text` the whole of what the real host keeps:
    "Result: Failure", "Exception: …" and "Stack: …" on lines of their own (functions-host.md §2.5).
    """

    def __init__(self, message: str, stack: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.stack = stack

    @property
    def text(self) -> str:
        """The failure as the worker reports it to the host."""
        return f"Result: Failure\nException: {self.message}\nStack: {self.stack}"


@dataclass(frozen=True, slots=True)
class InvocationRecord:
    """How one attempt of an invocation ended."""

    function: str
    id: str
    seconds: float
    error: FunctionInvocationError | None = None

    @property
    def outcome(self) -> str:
        """ "Succeeded" or "Failed", as in the log."""
        return "Succeeded" if self.error is None else "Failed"
