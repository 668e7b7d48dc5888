"""Reads local.settings.json, the file that stands in for an app's settings on a developer's machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devhost.errors import MEND_JSON, LocalSettingsError

FILE_NAME = "local.settings.json"


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The file's content (functions-host.md §1.5)."""

    values: Mapping[str, str] = field(default_factory=dict)
    """Environment variables, connection strings among them as `ConnectionStrings:NAME`."""
    host: Mapping[str, Any] = field(default_factory=dict)
    """`LocalHttpAddress`, `CORS`, `CORSCredentials` and what else is there."""
    port: int | None = None
    """Host.LocalHttpPort."""


def read_local_settings(script_root: Path) -> LocalSettings | None:
    """The app's local settings, or None when it has no such file. Raises LocalSettingsError."""
    path = script_root / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise LocalSettingsError(f"{path} cannot be read: {error}.", MEND_JSON) from None
    if not isinstance(document, dict):
        raise LocalSettingsError(f"{path} must hold a JSON object.", 'At least {"IsEncrypted": false, "Values": {}}.')
    if document.get("IsEncrypted", True) is not False:
        raise LocalSettingsError(
            f"The values in {path} count as encrypted, because IsEncrypted is not false (absent means true).",
            'Add "IsEncrypted": false to the file. If they really are encrypted, run `func settings decrypt` first.',
        )
    values = _texts(path, document, "Values")
    for name, entry in _object(path, document, "ConnectionStrings").items():
        text = entry.get("ConnectionString") if isinstance(entry, dict) else entry
        if text is not None:
            values[f"ConnectionStrings:{name}"] = str(text)
    host = _object(path, document, "Host")
    return LocalSettings(values, host, _port(path, host.get("LocalHttpPort")))


def _object(path: Path, document: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    found = document.get(section)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise LocalSettingsError(f"'{section}' in {path} must be an object, but is {json.dumps(found)}.")
    return found


def _port(path: Path, value: Any) -> int | None:
    if value is None:
        return None
    try:
        return int(str(value))
    except ValueError:
        raise LocalSettingsError(
            f"Host.LocalHttpPort in {path} is {json.dumps(value)}, which is no port.", "Write a number such as 7071."
        ) from None


def _texts(path: Path, document: Mapping[str, Any], section: str) -> dict[str, str]:
    texts = {}
    for name, value in _object(path, document, section).items():
        if isinstance(value, dict | list):
            raise LocalSettingsError(
                f"The setting '{name}' in {path} is not a text.",
                "Settings are flat: write nested values as one text, or as names joined by two underscores.",
            )
        if name and value is not None:
            texts[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return texts
