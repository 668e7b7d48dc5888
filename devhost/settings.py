"""An app's settings: the environment over local.settings.json, `%NAME%` replacement, connections by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from devhost.errors import MissingConnectionError, UnresolvedSettingError, UnsupportedBindingError
from devhost.local_settings import FILE_NAME, LocalSettings

_TOKEN = re.compile(r"%([^%]*)(%?)")
_DEFAULT_CONNECTION = {"storage": "AzureWebJobsStorage", "serviceBus": "AzureWebJobsServiceBus"}
_EXAMPLE = {
    "storage": "e.g. UseDevelopmentStorage=true",
    "serviceBus": "as `python -m devhost.servicebus` prints it when it is ready",
}
_SERVICE_NAME = {"storage": "Storage account", "serviceBus": "Service Bus"}


class Settings:
    """Looked up as the host does: names ignore case, and `__` in an environment name reads as `:`."""

    def __init__(self, values: Mapping[str, str], script_root: Path | None = None) -> None:
        """`values`: environment names and texts; `script_root` only helps to word remedies."""
        self._values = {_key(name): value for name, value in values.items()}
        self._names = {_key(name): name.replace("__", ":") for name in values}
        self._variables = {_key(name): name for name in values}
        self._script_root = script_root

    def get(self, name: str, default: str | None = None) -> str | None:
        """The setting's text. `A:B` and `A__B` are the same name here."""
        return self._values.get(_key(name), default)

    def resolve(self, text: str) -> str:
        """`text` with every `%NAME%` replaced. Raises UnresolvedSettingError (functions-host.md §1.3)."""
        return _TOKEN.sub(self._replace, text) if "%" in text else text

    def connection(self, name: str | None, service: str = "storage") -> str:
        """The connection string that a binding's `connection` names; `service` is "storage" or "serviceBus".

        Raises MissingConnectionError, and UnsupportedBindingError for an identity-based connection (§1.4).
        """
        name = name or _DEFAULT_CONNECTION[service]
        for key in _connection_keys(name):
            if value := self.get(key):
                return value
        for candidate in (f"AzureWebJobs{name}", name):
            if any(key.startswith(f"{candidate.lower()}:") for key in self._values):
                raise UnsupportedBindingError(
                    f"The connection '{candidate}' is identity-based ({candidate}__...), which devhost does not cover.",
                    f"For local work set '{name}' to a connection string, {_EXAMPLE[service]}.",
                )
        shown = name if name.lower().startswith("azurewebjobs") else f"AzureWebJobs{name}"
        raise MissingConnectionError(
            f"{_SERVICE_NAME[service]} connection string '{shown}' does not exist.", self._how_to_set(name)
        )

    def connection_variable(self, name: str | None, service: str = "storage") -> str:
        """The environment variable in which connection() finds the connection string. Raises what connection() raises.

        For SDK types, which read their connection themselves.
        """
        self.connection(name, service)
        keys = _connection_keys(name or _DEFAULT_CONNECTION[service])
        return next(self._variables[_key(key)] for key in keys if self.get(key))

    def matching(self, prefix: str) -> dict[str, str]:
        """Settings below `prefix` (`A:` for what is named `A:…` or `A__…`), their names without it."""
        prefix = _key(prefix)
        return {self._names[key][len(prefix) :]: value for key, value in self._values.items() if key.startswith(prefix)}

    def _replace(self, match: re.Match[str]) -> str:
        name, closing = match.groups()
        if not closing:
            raise UnresolvedSettingError(
                f"The '%' at position {match.start()} of '{match.string}' has no closing '%'.",
                "Write %NAME% for a setting.",
            )
        # An environment name A__B is known as A:B only, so %A__B% finds nothing.
        value = self._values.get(name.lower())
        if not value:
            raise UnresolvedSettingError(f"'%{name}%' does not resolve to a value.", self._how_to_set(name))
        return value

    def _how_to_set(self, name: str) -> str:
        root = self._script_root
        if root is None or (root / FILE_NAME).exists():
            return f"Add '{name}' to Values in {FILE_NAME}, or set it in the environment."
        sample = next((path.name for path in sorted(root.glob("local.settings.*.json"))), None)
        if sample:
            return f"There is no {FILE_NAME} in {root}: copy {sample} to it, or set '{name}' in the environment."
        return f"Create {FILE_NAME} in {root} with '{name}' in Values, or set it in the environment."


def effective_values(
    local: LocalSettings | None, environment: Mapping[str, str], overrides: Mapping[str, str]
) -> dict[str, str]:
    """What the app's environment shall be: `overrides` over the real environment over local.settings.json."""
    known = {name.lower() for name in environment}
    values = {name: text for name, text in (local.values if local else {}).items() if name.lower() not in known}
    return {**values, **environment, **overrides}


def _key(name: str) -> str:
    return name.replace("__", ":").lower()


def _connection_keys(name: str) -> list[str]:
    """Where a connection is looked for, in this order."""
    candidates = (f"AzureWebJobs{name}", name)
    return [key for candidate in candidates for key in (f"ConnectionStrings:{candidate}", candidate)]
