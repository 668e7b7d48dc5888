"""One instance's history in a file: what it was and what it did, an event a line, so that versions can be compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devhost.durable.hub import EventType
from devhost.errors import DevhostError

_REMEDY = "Save histories with `python -m devhost history INSTANCE`."


class HistoryFileError(DevhostError):
    """A file that holds no history."""


@dataclass(frozen=True)
class SavedHistory:
    """The history of one execution. After a continue-as-new there are several, of which a task hub keeps the last."""

    instance: str
    orchestrator: str
    events: list[dict[str, Any]]
    """As the hub keeps them: durable.md §1.2."""

    @classmethod
    def of(cls, instance: str, history: Sequence[str]) -> SavedHistory:
        """From the events as a task hub returns them, JSON texts. Raises HistoryFileError."""
        return cls._checked(instance, [json.loads(event) for event in history], "It")

    @classmethod
    def read(cls, path: Path) -> SavedHistory:
        """From a file. Raises HistoryFileError."""
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            return cls._checked(str(saved["instance"]), list(saved["history"]), str(path))
        except OSError as error:
            raise HistoryFileError(f"{path} cannot be read: {error.strerror}.", _REMEDY) from None
        except (ValueError, KeyError, TypeError) as error:
            raise HistoryFileError(f"{path} holds no history ({type(error).__name__}: {error}).", _REMEDY) from None

    @classmethod
    def _checked(cls, instance: str, events: list[dict[str, Any]], where: str) -> SavedHistory:
        started = next((event for event in events if event["EventType"] == EventType.EXECUTION_STARTED), None)
        if started is None:
            raise HistoryFileError(f"{where} does not say how the instance {instance} was started.", _REMEDY)
        return cls(instance, started["Name"], events)

    def to_text(self) -> str:
        """What a file holds."""
        events = ",\n".join(json.dumps(event) for event in self.events)
        return f'{{"instance": {json.dumps(self.instance)}, "history": [\n{events}\n]}}\n'
