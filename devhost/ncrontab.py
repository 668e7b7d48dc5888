"""NCRONTAB expressions as the real host reads them (functions-host.md §6): checked and put into cron's common words.

The search for occurrences is cronsim's. What it would read otherwise, or also takes, is settled here: `FRI-MON`, names
by any prefix, 7 as a day of the week, `L`, `W`, `#`, `?`, and both day fields having to hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cronsim import CronSim, CronSimError

from devhost.errors import DevhostError

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_EXAMPLE = "E.g. '0 30 2 * * MON-FRI' for 02:30 on working days: {second} {minute} {hour} {day} {month} {day of week}."
_FOREIGN = {"L": "the last day", "W": "the nearest working day", "#": "the n-th weekday", "?": "any day"}


class ScheduleError(DevhostError):
    """A timer's schedule that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def values(self, text: str) -> set[int]:
        """What the field's text admits. Raises ValueError with what is wrong about it."""
        values: set[int] = set()
        for part in text.split(","):
            values |= self._part(part)
        return values

    def print(self, values: set[int]) -> str:
        """The values as NCrontab prints them: `*`, or single values and ranges of neighbours."""
        runs: list[list[int]] = []
        for value in sorted(values):
            if runs and runs[-1][1] == value - 1:
                runs[-1][1] = value
            else:
                runs.append([value, value])
        if runs == [[self.least, self.most]]:
            return "*"
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)

    def _part(self, text: str) -> set[int]:
        term, slash, step_text = text.partition("/")
        step = self._step(step_text) if slash else 1
        if term == "*":
            return set(range(self.least, self.most + 1, step))
        first_text, dash, last_text = term.partition("-")
        first = self._value(first_text)
        last = self._value(last_text) if dash else self.most if slash else first
        return set(range(min(first, last), max(first, last) + 1, step))

    def _step(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) == 0:
            raise ValueError(f"the step '{text}' after '/' is not a whole number of at least 1")
        return int(text)

    def _value(self, text: str) -> int:
        if text.isascii() and text.isdigit():
            value = int(text)
            if not self.least <= value <= self.most:
                sunday = "; Sunday is 0" if self.names is _DAYS and value == 7 else ""
                raise ValueError(f"{value} is not from {self.least} to {self.most}{sunday}")
            return value
        for index, name in enumerate(self.names):
            if text and name.lower().startswith(text.lower()):
                return index + self.least
        foreign = next((f"; '{sign}' ({means}) is not known here" for sign, means in _FOREIGN.items()
                        if sign in text.upper() and not text.isalpha() or text.upper() == sign), "")  # fmt: skip
        named = " or an English name" if self.names else ""
        raise ValueError(f"'{text}' is not a number from {self.least} to {self.most}{named}{foreign}")


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


class Ncrontab:
    """One expression of five or six fields; times are naive, on the wall clock."""

    def __init__(self, text: str) -> None:
        """Raises ScheduleError, which names the field, and for an expression that no date fulfils."""
        fields = text.split()
        if len(fields) not in (5, 6):
            raise ScheduleError(
                f"the schedule '{text}' has {len(fields)} fields instead of six (or five, without seconds).", _EXAMPLE
            )
        kinds = _FIELDS[-len(fields) :]
        values = [_read(field, part, text) for field, part in zip(kinds, fields, strict=True)]
        normal = [field.print(found) for field, found in zip(kinds, values, strict=True)]
        self.normalized = " ".join(normal)
        """As NCrontab prints it, with seconds if they were given."""
        self.is_interval = any(sign in field for field in normal[:-3] for sign in "*-")
        """Whether it goes on through the hour that a change of the clock repeats, as the real host decides it."""
        self.is_sub_minute = len(fields) == 6 and len(values[0]) > 1 and set(normal[1:]) == {"*"}
        """Whether it fires more than once in every minute."""
        try:
            next(self.after(datetime(2000, 1, 1)))
        except (CronSimError, StopIteration):
            raise ScheduleError(
                f"no date fulfils the schedule '{text}'.", f"Check its day and month. {_EXAMPLE}"
            ) from None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The occurrences strictly after a moment, in order."""
        search = CronSim(self.normalized, moment)
        search.day_and = True
        return search


def _read(field: _Field, part: str, text: str) -> set[int]:
    try:
        return field.values(part)
    except ValueError as error:
        raise ScheduleError(
            f"the {field.name} field '{part}' of the schedule '{text}' is wrong: {error}.", _EXAMPLE
        ) from None
