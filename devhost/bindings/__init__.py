"""Bindings: inputs turn data into a function's arguments, outputs turn its results into effects."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from devhost.errors import UnsupportedBindingError

if TYPE_CHECKING:
    from azure.functions.meta import Datum

    from devhost.functions import Binding
    from devhost.host import Host


class InputBinding(Protocol):
    """Reads one value for one argument."""

    async def read(self, data: Mapping[str, Any]) -> Datum:
        """The argument's value; `data` holds what {expressions} may name, and "$invocationId"."""


class OutputBinding(Protocol):
    """Writes one result of a function to where it belongs."""

    def check(self, data: Mapping[str, Any]) -> None:
        """Raise if `data` lacks a name that an {expression} uses; asked before the function runs."""

    async def write(self, value: Datum, data: Mapping[str, Any]) -> None:
        """Make the effect; `data` as in InputBinding.read. An exception fails the invocation."""


INPUTS = {
    "blob": ("devhost.bindings.blob", "BlobInput"),
    "table": ("devhost.bindings.table", "TableInput"),
    "durableClient": ("devhost.bindings.durable_client", "DurableClientInput"),
}
"""Binding type → module and class of inputs; imported only when needed. Built as `Class(host, binding)`."""

OUTPUTS = {
    "queue": ("devhost.bindings.queue", "QueueOutput"),
    "blob": ("devhost.bindings.blob", "BlobOutput"),
    "table": ("devhost.bindings.table", "TableOutput"),
    "serviceBus": ("devhost.bindings.service_bus", "ServiceBusOutput"),
}
"""The same for outputs. `http` is not among them: its value is the answer that invoke() returns."""


def create_input(host: Host, binding: Binding) -> InputBinding:
    """The reader of an input binding. Raises UnsupportedBindingError for a type that devhost does not cover."""
    return _create(INPUTS, "input", host, binding)


def create_output(host: Host, binding: Binding) -> OutputBinding:
    """The writer of an output binding. Raises UnsupportedBindingError for a type that devhost does not cover."""
    return _create(OUTPUTS, "output", host, binding)


def check_binding(binding: Binding) -> None:
    """Raise UnsupportedBindingError for an input or output whose type devhost does not cover."""
    known, kind = (INPUTS, "input") if binding.direction == "in" else (OUTPUTS, "output")
    if binding.type not in known and not (kind == "output" and binding.type == "http"):
        raise UnsupportedBindingError(
            f"the {kind} binding type '{binding.type}' of '{binding.name}' is not covered by devhost.",
            "devhost/COVERAGE.md lists what is; run this function with `func start` or exclude it with --functions.",
        )


def _create(known: Mapping[str, tuple[str, str]], kind: str, host: Host, binding: Binding) -> Any:
    check_binding(binding)
    module, name = known[binding.type]
    return getattr(import_module(module), name)(host, binding)
