"""Log lines as `func start` prints them: a UTC prefix, categories with levels, lines attributed to invocations."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from devhost.context import THREAD_STORAGE

_LEVELS = {
    "trace": 5,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}

invocation_id: ContextVar[str | None] = ContextVar("devhost_invocation_id", default=None)
"""The invocation that an async function's code runs for."""

_running: dict[str, str] = {}


def invocation_started(identifier: str, function_name: str) -> None:
    """From now on, lines of this invocation belong to `function_name`."""
    _running[identifier] = function_name


def invocation_ended(identifier: str) -> None:
    """The invocation is over."""
    _running.pop(identifier, None)


def current_function() -> str | None:
    """The function whose code is running here, on this task or thread."""
    identifier = invocation_id.get() or getattr(THREAD_STORAGE, "invocation_id", None)
    return _running.get(identifier) if identifier else None


class Levels:
    """The least level that is shown, by category (functions-host.md §9): the longest matching prefix decides."""

    def __init__(self, configured: Mapping[str, str], *, verbose: bool = False) -> None:
        """`configured` is host.json's logging.logLevel; an unknown level name counts as Information."""
        given = {
            category.lower(): _LEVELS.get(str(level).lower(), logging.INFO) for category, level in configured.items()
        }
        # A configured default counts for the app's lines as for the host's.
        default = given.pop("default", None)
        system = logging.INFO if verbose else logging.WARNING
        levels = {"": system if default is None else default, "function": logging.INFO if default is None else default}
        # The real host has no such libraries: what they say while they work for devhost, it says in its own way.
        levels["host.azure"] = max(levels[""], system)
        levels |= given
        self._by_prefix = sorted(levels.items(), key=lambda item: -len(item[0]))
        self._known: dict[str, int] = {}

    @property
    def lowest(self) -> int:
        """The lowest level of any category; what is below need not even be created."""
        return min(level for _, level in self._by_prefix)

    def of(self, category: str) -> int:
        """The least level shown for `category`."""
        level = self._known.get(category)
        if level is None:
            level = next(level for prefix, level in self._by_prefix if category.lower().startswith(prefix))
            self._known[category] = level
        return level


class Console(logging.Handler):
    """Prints records to a stream, filtered by category."""

    def __init__(self, levels: Levels, script_root: Path, stream: TextIO | None = None) -> None:
        super().__init__()
        self._levels = levels
        self._root = str(script_root)
        self._stream = stream or sys.stdout

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, if its category's level admits it."""
        if record.levelno < self._levels.of(self._category(record)):
            return
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{_EXCEPTIONS.formatException(record.exc_info)}"
            self._stream.write(f"[{_timestamp(record.created)}] {text}\n")
            self._stream.flush()
        except Exception:
            self.handleError(record)

    def _category(self, record: logging.LogRecord) -> str:
        name = record.name
        if name.startswith("Function."):
            return name
        if name.startswith("devhost."):
            return f"Host.{name[8:]}"
        function = current_function()
        if function is not None:
            return f"Function.{function}.User"
        # Outside an invocation only the app's own modules speak for the app; libraries then work for devhost.
        ours = record.pathname.startswith(self._root) and "site-packages" not in record.pathname
        return "Function" if ours else f"Host.{name}"


def install(levels: Levels, script_root: Path) -> None:
    """Send the process's log to the console; replaces handlers that are there."""
    root = logging.getLogger()
    root.handlers[:] = [Console(levels, script_root)]
    root.setLevel(min(levels.lowest, logging.INFO))


_EXCEPTIONS = logging.Formatter()


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
