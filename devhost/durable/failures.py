"""The texts of failures, as the real host writes them (durable.md §3)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

OUT_OF_PROC_MARKER = "\n\n$OutOfProcData$:"
"""What the SDK puts between an orchestrator's error and the state it had reached."""

_ALWAYS_THE_SAME = {
    "Data": None,
    "HelpURL": None,
    "StackTraceString": None,
    "RemoteStackTraceString": None,
    "RemoteStackIndex": 0,
    "ExceptionMethod": None,
    "HResult": -2146233088,
    "Source": None,
    "WatsonBuckets": None,
}
"""What a .NET exception's JSON also has, and nobody reads."""


def activity_reason(name: str, message: str) -> str:
    """TaskFailed.Reason; `message` is "TypeName: text". The second blank is the real host's."""
    return f"Activity function '{name}' failed:  {message}"


def details(message: str, text: str) -> str:
    """TaskFailed.Details: a .NET exception as JSON (some apps parse it). `text` is the worker's whole failure text."""
    kind, _, remote = message.partition(": ")
    inner = {
        "$type": "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException, Microsoft.Azure.WebJobs.Script.Grpc",
        "IsUserException": False,
        "RemoteStackTrace": text.partition("\nStack: ")[2],
        "RemoteMessage": message,
        "RemoteTypeName": kind if remote else "",
        "ClassName": "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException",
        "Message": text,
        "InnerException": None,
        **_ALWAYS_THE_SAME,
    }
    outer = {
        "$type": "System.Exception, System.Private.CoreLib",
        "ClassName": "System.Exception",
        "Message": f" {message}",
        "InnerException": inner,
        **_ALWAYS_THE_SAME,
    }
    return json.dumps(outer)


def orchestrator_failed(name: str, error: str) -> str:
    """The output of a failed instance."""
    return f"Orchestrator function '{name}' failed: {error}"


def unknown_function(name: str, kind: str, known: Iterable[str]) -> str:
    """A function that is called but does not exist; `kind` is "an orchestrator", "an activity" or "an entity"."""
    names = ", ".join(f"'{known_name}'" for known_name in sorted(known, key=str.lower))
    noun = kind.split()[1]
    which = f"The following are the known {noun} functions: {names}" if names else f"There are no {noun} functions"
    return (
        f"The function '{name}' doesn't exist, is disabled, or is not {kind} function. Additional info: {which}. "
        "Check the name's spelling, and that its blueprint is registered with the app."
    )


def split_orchestrator_error(message: str) -> tuple[str, dict[str, Any] | None]:
    """The error of an orchestrator and the state it had reached; None when the failure carries no state."""
    error, marker, rest = message.partition(OUT_OF_PROC_MARKER)
    if not marker:
        return message, None
    state = json.JSONDecoder().raw_decode(rest)[0]
    return str(state.get("error") or error), state
