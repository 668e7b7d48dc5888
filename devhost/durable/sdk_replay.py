"""Takes two needless costs out of the SDK's replay, which are more than half of it (azure-functions-durable 1.7.0).

For every event of the history, in every episode, the SDK lets dateutil guess the format of the timestamp (33 us);
devhost writes them all in one ISO format, which the standard library reads in one. And for every episode it makes the
class of a named tuple anew. The results are the same, so the app cannot tell. An SDK without these names is left alone.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from datetime import datetime, tzinfo

_EVENT_MODULE = "azure.durable_functions.models.history.HistoryEvent"
_EXECUTOR_MODULE = "azure.durable_functions.models.TaskOrchestrationExecutor"


def quicken_replay() -> None:
    """Replace both in the loaded SDK, if it has been loaded; again is harmless."""
    events = sys.modules.get(_EVENT_MODULE)
    parse = getattr(events, "dt_parse", None)
    if parse is not None and not hasattr(parse, "__wrapped__"):
        events.dt_parse = _quick_parser(parse)
    executor = sys.modules.get(_EXECUTOR_MODULE)
    namedtuple = getattr(executor, "namedtuple", None)
    if namedtuple is not None and not hasattr(namedtuple, "__wrapped__"):
        executor.namedtuple = functools.cache(namedtuple)


def _quick_parser(parse: Callable[[str], datetime]) -> Callable[[str], datetime]:
    @functools.cache
    def zone(_names: tuple[str, str]) -> tzinfo | None:
        """A class of dateutil's: which one depends on the time zone of the process, and hosts set that of their app."""
        return parse("2000-01-01T00:00:00Z").tzinfo

    @functools.wraps(parse)
    def quick(text: str) -> datetime:
        if not text.endswith("Z"):
            return parse(text)
        return datetime.fromisoformat(text).replace(tzinfo=zone(time.tzname))

    return quick
