"""`devhost tick`: has a running host run one of its timers at once, as if for a given moment, and waits for its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from devhost.errors import DevhostError, ServiceUnavailableError

_KEY_HEADER = "x-functions-key"
_ASKED_SECONDS = 10.0


class TickError(DevhostError):
    """What keeps a timer from being run."""


def tick(origin: str, name: str, at: str | None = None, key: str | None = None) -> str | None:
    """Run the timer `name` of the host at `origin`: None, or what its failure says.

    `at`: ISO 8601 with an offset, now unless given; the function sees it as the occurrence that it is run for. `key`:
    the master key of a host that was started with --enable-auth. Raises TickError, and ServiceUnavailableError when no
    host answers.
    """
    moment = _moment(at)
    headers = {"Content-Type": "application/json", **({_KEY_HEADER: key} if key else {})}
    listed = _ask(Request(f"{origin}/admin/functions", headers=headers), _ASKED_SECONDS)
    timers = {each["name"] for each in listed if _is_timer(each)}
    if name.lower() not in {timer.lower() for timer in timers}:
        known = any(each["name"].lower() == name.lower() for each in listed)
        raise TickError(
            f"'{name}' is not a timer." if known else f"The host at {origin} has no function '{name}'.",
            f"Its timers are: {', '.join(sorted(timers))}." if timers else "It has no timers.",
        )
    body = json.dumps({"input": moment.isoformat()}).encode()
    url = f"{origin}/admin/functions/{quote(name)}"
    outcome = _ask(Request(url, body, {**headers, "Prefer": "wait"}, method="POST"), None)
    return outcome.get("error")


def _moment(at: str | None) -> datetime:
    if at is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise TickError(
            f"'{at}' is not a time with an offset." if moment else f"'{at}' is not a time.",
            "Write it e.g. as 2026-03-29T02:30:00+01:00 or 2026-03-29T01:30:00Z.",
        )
    return moment


def _is_timer(function: dict[str, Any]) -> bool:
    return any(binding["type"] == "timerTrigger" for binding in function["config"]["bindings"])


def _ask(request: Request, seconds: float | None) -> Any:
    try:
        with urlopen(request, timeout=seconds) as answer:
            return json.load(answer)
    except HTTPError as error:
        if error.code == 401:
            raise TickError("The host asks for a key.", "Pass its master key with --key.") from None
        text = error.read().decode("utf-8", "replace")
        raise TickError(f"The host answered {error.code}: {_title(text)}", "See the host's log.") from None
    except (URLError, OSError) as error:
        raise ServiceUnavailableError(
            f"No host answers at {request.host} ({getattr(error, 'reason', error)}).",
            "Start it: `python -m devhost start`, or name its port with --port.",
        ) from None
    except ValueError:
        raise TickError(f"What answers at {request.host} is not devhost.", "Name devhost's port with --port.") from None


def _title(text: str) -> str:
    try:
        document = json.loads(text)
        return f"{document['title']} {document['detail']}"
    except (ValueError, KeyError, TypeError):
        return text[:200] or "nothing more"
