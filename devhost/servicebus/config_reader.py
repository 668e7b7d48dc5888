"""Typed access to a JSON document that knows, for every fault, where in the document it stands."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from devhost.errors import DevhostError
from devhost.servicebus.durations import DurationError, format_duration, parse_duration

_TEXT_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


class ConfigError(DevhostError):
    """The configuration cannot be used."""


def read_json(path: Path) -> Any:
    """A JSON file that may hold // and /* */ comments, as the official emulator's example does. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"There is no {path}.", "Name the configuration with --config FILE.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", "It must be a JSON file in UTF-8.") from None
    try:
        return json.loads(_TEXT_OR_COMMENT.sub(_blank_comment, text))
    except ValueError as error:
        remedy = "Mend the file: no comma may stand after a last item; // comments may stand in it."
        raise ConfigError(f"{path} is no JSON: {error}.", remedy) from None


def _blank_comment(found: re.Match[str]) -> str:
    # Line breaks stay, so that the line that an error names is the file's.
    return found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])


class Section:
    """An object of the document. Its names ignore case; what is not asked for by unknown() becomes a warning."""

    def __init__(self, value: Any, place: str, warn: Callable[[str], None]) -> None:
        """`place`: where it stands, like `Namespaces[0].Queues[2]`. Raises ConfigError unless it is an object."""
        if not isinstance(value, dict):
            raise ConfigError(f"{place or 'The document'} must be an object, not {_shown(value)}.")
        self._values = {str(name).lower(): item for name, item in value.items()}
        self._spelled = list(value)
        self._asked: dict[str, str] = {}
        self.place = place
        self.warn = warn

    def text(self, name: str, default: str = "") -> str:
        """A text. null counts as absent, here and below."""
        value = self._get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(name, f"must be a text, not {_shown(value)}.", "Put it into double quotes.")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self._get(name)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if value is not None and not isinstance(value, bool):
            raise self.error(name, f"must be true or false, not {_shown(value)}.")
        return default if value is None else value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number; outside of `least` to `most`, the emulator's range, it is taken with a warning."""
        value = self._get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, f"must be a whole number, not {_shown(value)}.")
        if not least <= value <= most:
            self.warn(f"{self.at(name)} is {value}; the official emulator takes {least} to {most}.")
        return value

    def duration(self, name: str, default: int, least: int, most: int) -> int:
        """A duration in ms; outside of `least` to `most`, the emulator's range, it is taken with a warning."""
        value = self.span(name, default, least, most)
        if value is None:
            raise self.error(name, "cannot be unlimited.", f"Write {format_duration(most)} at most.")
        return value

    def span(self, name: str, default: int, least: int, most: int) -> int | None:
        """Like duration(), but it may also be unlimited."""
        text = self.text(name)
        if not text:
            return default
        try:
            value = parse_duration(text)
        except DurationError as error:
            raise self.error(name, f"cannot be used: {error}.") from None
        if value is None or not least <= value <= most:
            allowed = f"{format_duration(least)} to {format_duration(most)}"
            self.warn(f"{self.at(name)} is {text}; the official emulator takes {allowed}.")
        return value

    def section(self, name: str) -> Section:
        """An object; an empty one when it is absent."""
        value = self._get(name)
        return Section({} if value is None else value, self.at(name), self.warn)

    def sections(self, name: str) -> Iterator[Section]:
        """The objects of an array; none when it is absent."""
        value = self._get(name)
        if value is not None and not isinstance(value, list):
            raise self.error(name, f"must be an array, not {_shown(value)}.", "Write [ ... ] around it.")
        for index, item in enumerate(value or []):
            yield Section(item, f"{self.at(name)}[{index}]", self.warn)

    def mapping(self, name: str) -> dict[str, Any]:
        """An object whose names are free and keep their case."""
        value = self._get(name)
        if value is not None and not isinstance(value, dict):
            raise self.error(name, f"must be an object, not {_shown(value)}.")
        return value or {}

    def has(self, name: str) -> bool:
        """Whether it is there and not null."""
        return self._get(name) is not None

    def warn_of_unknown(self) -> None:
        """Warn of every name that was never asked for: most often a slip of the pen, which would go unseen."""
        for name in self._spelled:
            if name.lower() not in self._asked:
                close = difflib.get_close_matches(name.lower(), self._asked, 1)
                hint = f"did you mean {self._asked[close[0]]}?" if close else "it is ignored."
                self.warn(f"{self.at(name)} is not known; {hint}")

    def at(self, name: str) -> str:
        """Where something of that name stands."""
        return f"{self.place}.{name}" if self.place else name

    def error(self, name: str, message: str, remedy: str = "") -> ConfigError:
        """A fault of what stands under `name`."""
        return ConfigError(f"{self.at(name)} {message}", remedy)

    def _get(self, name: str) -> Any:
        self._asked[name.lower()] = name
        return self._values.get(name.lower())


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
