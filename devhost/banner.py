"""What `python -m devhost start` and `check` print about an app: its functions, what failed, where it is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from devhost import __version__
from devhost.functions import Function
from devhost.schedule import local_zone, read_schedule
from devhost.singleton import lock_period

if TYPE_CHECKING:
    from devhost.host import Host

_BUNDLED = frozenset({"httpTrigger", "http", "timerTrigger", "warmupTrigger"})
_TARGETS = ("queueName", "topicName", "subscriptionName", "path", "schedule", "orchestration", "activity", "entityName")


def heading() -> str:
    """The first lines, before anything has been loaded."""
    return f"\ndevhost {__version__}: a local host for Azure Functions in Python (development only)\n"


def function_list(host: Host) -> str:
    """All functions in func's order: HTTP first with methods and URL, then the others, then the disabled ones."""
    shown = [function for function in host.functions.values() if not function.disabled]
    lines: list[str] = ["", "Functions:", ""] if shown else []
    for function in sorted(shown, key=lambda function: function.trigger.type != "httpTrigger"):
        lines += [f"\t{function.name}: {_trigger(host, function)}", ""]
    lines += [f"Function {function.name} is disabled." for function in host.functions.values() if function.disabled]
    return "\n".join([*lines, *_remarks(host)])


def errors(host: Host) -> str:
    """Why functions are missing from the list; empty when none is."""
    return "\n".join(error.for_console() for error in host.errors)


def ready(host: Host, seconds: float) -> str:
    """The last lines: where to go, and how long the start took."""
    lines = [f"Host ready in {seconds:.1f} s at {host.origin} (Ctrl-C drains and stops it)."]
    if host.keys is not None:
        lines.append(f"Keys are asked for; they are in {host.keys.path} (header x-functions-key or ?code=).")
    if not host.options.verbose:
        lines.append("For detailed output, run devhost with --verbose flag.")
    return "\n".join(lines)


def _trigger(host: Host, function: Function) -> str:
    properties = function.trigger.properties
    if function.trigger.type == "httpTrigger":
        methods = ",".join(str(method).upper() for method in properties.get("methods") or ())
        return f"{f'[{methods}]' if methods else ''} {host.url_of(function)}"
    return f"{function.trigger.type}  {_target(properties)}{_next(host, function)}".rstrip()


def _next(host: Host, function: Function) -> str:
    """When a timer fires next, in its time zone."""
    if function.trigger.type != "timerTrigger":
        return ""
    zone = local_zone(host.settings)
    moment = read_schedule(function.trigger.properties["schedule"], zone).next(host.clock.now())
    return f" (next: {moment.astimezone(zone).isoformat(' ', 'seconds')})"


def _target(properties: Mapping[str, Any]) -> str:
    return "/".join(str(properties[name]) for name in _TARGETS if properties.get(name))


def _remarks(host: Host) -> Iterator[str]:
    if host.timers_elsewhere:
        yield (
            f"Run by another host of this app: {', '.join(host.timers_elsewhere)}. This one takes over when that ends; "
            f"if it was killed, within {lock_period(host.json).total_seconds():g} s."
        )
    used = {binding.type for function in host.functions.values() for binding in function.bindings}
    if not host.json.has_extension_bundle and (foreign := sorted(used - _BUNDLED)):
        yield (
            f"host.json has no extensionBundle: in Azure and under `func start` these types will be unknown: "
            f"{', '.join(foreign)}."
        )
