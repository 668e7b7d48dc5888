"""Turns the app's functions into devhost's, checked as worker and host check them; a bad one spoils no other."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devhost.bindings import check_binding
from devhost.errors import DevhostError, FunctionLoadError, UnresolvedSettingError
from devhost.functions import Binding, Function
from devhost.host_json import HostJson
from devhost.http.routes import check_route
from devhost.listeners import check_trigger
from devhost.retry import RetryPolicy
from devhost.schedule import read_schedule
from devhost.settings import Settings
from devhost.signature import read_signature

_FUNCTION_NAME = re.compile(r"[a-z][a-z0-9_\-]{0,127}", re.IGNORECASE)
_BINDING_NAME = re.compile(r"(?!.*__)[a-z_][a-z0-9_]{0,127}|\$return", re.IGNORECASE)
_LITERAL_PROPERTIES = frozenset({"type", "name", "direction", "dataType", "route", "methods"})


@dataclass(frozen=True, slots=True)
class Index:
    """The functions of an app that can run, and why the others cannot."""

    functions: dict[str, Function]
    """By name, sorted by name whatever its case: the order in which HTTP routes are tried."""
    errors: list[FunctionLoadError]


def index(found: Iterable[Any], settings: Settings, host_json: HostJson, allowed: Iterable[str] | None = None) -> Index:
    """Index the azure.functions Function objects `found`; `allowed` (any case) leaves out all others."""
    wanted = {name.lower() for name in allowed} if allowed is not None else None
    functions: dict[str, Function] = {}
    errors: list[FunctionLoadError] = []
    for source in found:
        name = source.get_function_name()
        if wanted is not None and name.lower() not in wanted:
            continue
        try:
            if any(known.lower() == name.lower() for known in functions):
                raise FunctionLoadError(name, "another function has the same name (names ignore case).", "Rename one.")
            functions[name] = _function(name, source, settings, host_json)
        except FunctionLoadError as error:
            errors.append(error)
        except DevhostError as error:
            is_setting = isinstance(error, UnresolvedSettingError)
            errors.append(FunctionLoadError(name, error.message, error.remedy, is_setting=is_setting))
    return Index(dict(sorted(functions.items(), key=lambda item: item[0].lower())), errors)


def _function(name: str, source: Any, settings: Settings, host_json: HostJson) -> Function:
    if not _FUNCTION_NAME.fullmatch(name) or name.lower() == "host":
        raise FunctionLoadError(
            name, "this name is not valid.", "A letter, then letters, digits, '_' or '-', at most 128, and not 'host'."
        )
    bindings = tuple(_binding(name, json.loads(raw), settings) for raw in source.get_raw_bindings())
    triggers = [binding for binding in bindings if binding.is_trigger]
    if len(triggers) != 1:
        raise FunctionLoadError(name, f"it has {len(triggers)} triggers.", "A function has exactly one trigger.")
    check_trigger(triggers[0].type)
    for binding in bindings:
        if not binding.is_trigger:
            check_binding(binding)
    if triggers[0].type == "httpTrigger":
        check_route(triggers[0].properties.get("route") or name, host_json.route_prefix)
    elif triggers[0].type == "timerTrigger":
        read_schedule(triggers[0].properties["schedule"])
    callable_ = source.get_user_function()
    signature = read_signature(name, callable_, bindings)
    read = {p.binding.name: p.binding for p in (signature.trigger, *signature.inputs)}
    return Function(
        name=name,
        callable=callable_,
        bindings=tuple(read.get(binding.name, binding) for binding in bindings),
        trigger=signature.trigger.binding,
        is_async=inspect.iscoroutinefunction(callable_),
        directory=str(Path(inspect.getfile(callable_)).parent),
        retry_policy=_retry_policy(name, source, host_json),
        disabled=_is_disabled(name, settings),
        signature=signature,
    )


def _binding(function_name: str, raw: dict[str, Any], settings: Settings) -> Binding:
    name = raw["name"]
    if not _BINDING_NAME.fullmatch(name):
        raise FunctionLoadError(
            function_name,
            f"the binding name '{name}' is not valid.",
            "A letter or underscore, then letters, digits and single underscores, at most 128.",
        )
    properties = {key: _resolved(key, value, settings) for key, value in raw.items()}
    return Binding(raw["type"], name, str(raw["direction"]).lower(), properties)


def _resolved(key: str, value: Any, settings: Settings) -> Any:
    return settings.resolve(value) if isinstance(value, str) and key not in _LITERAL_PROPERTIES else value


def _retry_policy(name: str, source: Any, host_json: HostJson) -> RetryPolicy | None:
    values = source.get_settings_dict("retry_policy")
    if not values:
        return host_json.retry_policy
    try:
        return RetryPolicy.from_settings(values)
    except ValueError as error:
        raise FunctionLoadError(name, f"{error}.", "See @app.retry: delays are written hh:mm:ss.") from None


def _is_disabled(name: str, settings: Settings) -> bool:
    names = (f"AzureWebJobs.{name}.Disabled", f"AzureWebJobs_{name}_Disabled")
    return any((settings.get(key) or "").lower() in ("1", "true") for key in names)
