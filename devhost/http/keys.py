"""Access keys: made at first use, kept in the app's .devhost folder, asked for only with --enable-auth."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devhost.errors import DevhostError

DURABLE = "durabletask_extension"
BLOBS = "blobs_extension"
_NEW = "Delete the file; new keys are made."


class Keys:
    """Master, host, function and system keys (functions-host.md §3, Auth)."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        """Keys live in `path` (mode 0600). DEVHOST_MASTER_KEY and DEVHOST_FUNCTION_KEY stand before what is there.

        Raises DevhostError when the file cannot be used.
        """
        self.path = path
        stored = _load(path)
        self.master: str = environment.get("DEVHOST_MASTER_KEY") or stored["masterKey"]
        self._host: list[str] = list(stored["functionKeys"].values())
        self._functions: dict[str, dict[str, str]] = stored["functions"]
        self._system: dict[str, str] = stored["systemKeys"]
        if given := environment.get("DEVHOST_FUNCTION_KEY"):
            self._host.append(given)

    @property
    def durable_webhook(self) -> str:
        """The system key that Durable's management URLs carry as `code`."""
        return self._system[DURABLE]

    def admits(self, level: str, function_name: str, key: str | None) -> bool:
        """Whether `key` opens a function of the auth level "anonymous", "function" or "admin"."""
        if level == "anonymous":
            return True
        if level == "admin":
            return self.is_master(key)
        return self.is_master(key) or _among(key, [*self._host, *self._functions.get(function_name, {}).values()])

    def is_master(self, key: str | None) -> bool:
        """Whether `key` is the master key, the one that opens everything."""
        return _among(key, [self.master])

    def opens_webhook(self, key: str | None, extension: str = DURABLE) -> bool:
        """Whether `key` opens the webhook of an extension; Durable's is its management API."""
        return self.is_master(key) or _among(key, [self._system[extension]])


def _among(key: str | None, known: list[str]) -> bool:
    given = (key or "").encode("utf-8", "surrogateescape")  # a header may hold any bytes
    return any([hmac.compare_digest(given, candidate.encode()) for candidate in known])


def _load(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        stored = _new_keys()
        _write(path, stored)
    except ValueError as error:
        raise DevhostError(f"The keys in {path} cannot be read: {error}.", _NEW) from None
    if not isinstance(stored, dict):
        raise DevhostError(f"{path} does not hold keys.", _NEW)
    keys = _new_keys()
    complete = keys | stored | {"systemKeys": keys["systemKeys"] | stored.get("systemKeys", {})}
    if complete != stored:  # made by an older devhost
        path.unlink()
        _write(path, complete)
    return complete


def _write(path: Path, stored: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(stored, file, indent=2)


def _new_keys() -> dict[str, Any]:
    return {
        "masterKey": secrets.token_urlsafe(32),
        "functionKeys": {"default": secrets.token_urlsafe(32)},
        "functions": {},
        "systemKeys": {extension: secrets.token_urlsafe(32) for extension in (DURABLE, BLOBS)},
    }
