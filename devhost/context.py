"""What a function may ask for beside its data: the invocation's context, and the holders of its outputs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func

THREAD_STORAGE = threading.local()
"""Where a thread started by a function notes its invocation id, so that its log lines are attributed (§2.5)."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context. Locally each invocation is a trace of its own."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def Traceparent(self) -> str:  # noqa: N802 - the SDK's deprecated name
        """Deprecated name of trace_parent."""
        return self.trace_parent

    @property
    def Tracestate(self) -> str:  # noqa: N802
        """Deprecated name of trace_state."""
        return self.trace_state

    @property
    def Attributes(self) -> dict[str, str]:  # noqa: N802
        """Deprecated name of attributes."""
        return self.attributes


@dataclass(frozen=True, slots=True)
class RpcException:
    """The failure of the attempt before this one."""

    source: str
    stack_trace: str
    message: str


@dataclass(frozen=True, slots=True)
class RetryContext:
    """Which retry this is; only where a retry policy exists (§2.5)."""

    retry_count: int
    max_retry_count: int
    rpc_exception: RpcException | None = None

    @property
    def exception(self) -> RpcException | None:
        """The SDK's name of rpc_exception."""
        return self.rpc_exception


class Context(func.Context):
    """What a parameter named `context` receives."""

    def __init__(self, name: str, directory: str, invocation_id: str, retry: RetryContext | None) -> None:
        self._name = name
        self._directory = directory
        self._invocation_id = invocation_id
        self._retry = retry
        digits = invocation_id.replace("-", "")
        self._trace = TraceContext(f"00-{digits}-{digits[:16]}-00")

    @property
    def invocation_id(self) -> str:
        """This invocation's id, a lower-case GUID."""
        return self._invocation_id

    @property
    def thread_local_storage(self) -> threading.local:
        """See THREAD_STORAGE."""
        return THREAD_STORAGE

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self._name

    @property
    def function_directory(self) -> str:
        """The folder of the file that defines the function."""
        return self._directory

    @property
    def trace_context(self) -> TraceContext:
        """The W3C trace context."""
        return self._trace

    @property
    def retry_context(self) -> RetryContext | None:
        """Which retry this is, or None without a retry policy."""
        return self._retry


class Out(func.Out):
    """Holds what a function sets on one output; the last value counts."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Replace the output's value."""
        self._value = val

    def get(self) -> Any:
        """What has been set, or None."""
        return self._value
