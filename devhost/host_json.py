"""host.json with its overrides from the environment, and typed access to what devhost reads of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from devhost.errors import MEND_JSON, HostJsonError
from devhost.retry import RetryPolicy
from devhost.settings import Settings
from devhost.timespan import parse_timespan

_OVERRIDE = "AzureFunctionsJobHost:"
_DEFAULT_TIMEOUT = timedelta(minutes=30)
_BUNDLE = '{"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}'
_LEAST = f'The least is {{"version": "2.0", "extensionBundle": {_BUNDLE}}}'


class Section(dict):
    """An object in host.json: its names ignore case, as the host's configuration does."""

    def get(self, name: str, default: Any = None) -> Any:
        """The value under `name`, or `default`."""
        return super().get(self.spelled(name), default)

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(self.spelled(name))

    def __contains__(self, name: object) -> bool:
        return super().__contains__(self.spelled(name))

    def spelled(self, name: Any) -> Any:
        """`name` as it is written here, if it is."""
        if super().__contains__(name):
            return name
        return next((known for known in self if known.lower() == str(name).lower()), name)


class HostJson:
    """An app's host.json (functions-host.md §1.6)."""

    def __init__(self, document: Mapping[str, Any], settings: Settings | None = None) -> None:
        """`settings` may override any value by `AzureFunctionsJobHost__extensions__queues__batchSize` and the like."""
        self.document: Section = json.loads(json.dumps(document), object_hook=Section)
        for name, text in (settings.matching(_OVERRIDE) if settings else {}).items():
            _override(self.document, name.split(":"), text)
        self._check()

    @classmethod
    def load(cls, script_root: Path, settings: Settings) -> HostJson:
        """The app's host.json. Raises HostJsonError."""
        path = script_root / "host.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise HostJsonError(f"There is no host.json in {script_root}.", f"Create it. {_LEAST}") from None
        except (OSError, ValueError) as error:
            raise HostJsonError(f"{path} cannot be read: {error}.", MEND_JSON) from None
        if not isinstance(document, dict):
            raise HostJsonError(f"{path} must hold a JSON object.", _LEAST)
        return cls(document, settings)

    def extension(self, name: str) -> Section:
        """The section `extensions.<name>`, empty when absent. Names ignore case."""
        return _section(_section(self.document, "extensions"), name)

    @property
    def http(self) -> Section:
        """The section extensions.http."""
        return self.extension("http")

    @property
    def route_prefix(self) -> str:
        """What stands before every HTTP route, without slashes at its ends."""
        return str(self.http.get("routePrefix", "api")).strip("/")

    @property
    def function_timeout(self) -> timedelta | None:
        """How long an invocation may run; None is for ever ("-1")."""
        text = self.document.get("functionTimeout")
        if text is None:
            return _DEFAULT_TIMEOUT
        return None if str(text) == "-1" else _span("functionTimeout", text)

    @property
    def allowed_functions(self) -> list[str] | None:
        """The allow-list `functions`, or None for all of them."""
        names = self.document.get("functions")
        if isinstance(names, dict):  # from AzureFunctionsJobHost__functions__0, …
            names = list(names.values())
        return [str(name) for name in names] if names else None

    @property
    def retry_policy(self) -> RetryPolicy | None:
        """The app's default retry policy."""
        section = _section(self.document, "retry")
        try:
            return RetryPolicy.from_settings(section) if section else None
        except ValueError as error:
            raise HostJsonError(f"'retry' in host.json cannot be used: {error}.", "See functions-host.md §8.") from None

    @property
    def log_levels(self) -> Mapping[str, str]:
        """logging.logLevel: category → level name."""
        return _flat(_section(_section(self.document, "logging"), "logLevel"))

    @property
    def has_extension_bundle(self) -> bool:
        """Whether the real host would know more than HTTP and timer triggers."""
        return bool(_section(self.document, "extensionBundle"))

    def _check(self) -> None:
        version = self.document.get("version")
        if version != "2.0":
            raise HostJsonError(
                f'host.json has the version {json.dumps(version)}, but only "2.0" is valid.',
                'Set "version": "2.0" (a text, not a number).',
            )
        timeout = self.function_timeout
        if timeout is not None and timeout < timedelta(seconds=1):
            raise HostJsonError("functionTimeout in host.json is shorter than a second.", 'Write it as "00:10:00".')
        _ = self.retry_policy, self.log_levels, self.route_prefix


def _section(section: Section, name: str) -> Section:
    value = section.get(name)
    if value is None:
        return Section()
    if not isinstance(value, dict):
        raise HostJsonError(f"'{name}' in host.json must be an object, not {json.dumps(value)}.")
    return value


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested names joined by dots: an override of the level of Function.orders arrives nested."""
    flat: dict[str, str] = {}
    for name, value in section.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": str(value)}
    return flat


def _span(name: str, text: Any) -> timedelta:
    try:
        return parse_timespan(str(text))
    except ValueError as error:
        raise HostJsonError(f"'{name}' in host.json cannot be used: {error}.") from None


def _override(section: Section, names: list[str], text: str) -> None:
    """Put `text` where the names lead, as the JSON scalar that it spells."""
    name = section.spelled(names[0])
    if len(names) == 1:
        section[name] = _scalar(text)
        return
    inner = section.get(name)
    if isinstance(inner, list):
        inner = Section((str(index), value) for index, value in enumerate(inner))
    section[name] = inner if isinstance(inner, dict) else Section()
    _override(section[name], names[1:], text)


def _scalar(text: str) -> Any:
    try:
        value = json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value
