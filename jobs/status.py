"""The status of a job, as its owner sees it: the ledger's row, and Durable's word on what is under way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from azure.durable_functions import DurableOrchestrationClient, OrchestrationRuntimeStatus
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus

from jobs import channels, clock, ledger, results, timeline
from jobs.catalog import kind_named
from jobs.entry import WAITING
from jobs.errors import UnknownKindError
from jobs.ledger import Entry
from jobs.settings import settings

Status = dict[str, Any]

_STOPPED = {
    OrchestrationRuntimeStatus.Failed: (
        ledger.FAILED,
        {"type": "OrchestrationFailed", "message": "the orchestration failed: see the host's log", "retryable": False},
    ),
    OrchestrationRuntimeStatus.Terminated: (
        ledger.FAILED,
        {"type": "Terminated", "message": "an operator ended the job; nothing was undone", "retryable": False},
    ),
}
_GONE = (
    ledger.FAILED,
    {
        "type": "OrchestrationGone",
        "message": "an operator ended the job and purged its orchestration; nothing was undone",
        "retryable": False,
    },
)
"""Ends that the ledger cannot know, because no step of the job was left to enter them."""


async def read(kind: str, id: str, durable: DurableOrchestrationClient, *, steps: bool = False) -> Status:
    """The status of one job, on demand with its steps. Raises UnknownKindError, JobNotFoundError."""
    kind_named(kind)
    entry = await ledger.get(kind, id)
    status = await describe(entry, durable)
    if steps:
        shown, left_out = await timeline.read(entry, status, durable if _is_orchestrated(entry) else None)
        status["steps"] = shown
        if left_out:
            status["stepsLeftOut"] = left_out
    return status


async def describe(entry: Entry, durable: DurableOrchestrationClient | None) -> Status:
    """The status that belongs to a row. Without `durable` it has the ledger's word only, which lacks the progress."""
    state, error, progress = entry.state, entry.error, None
    waiting_for = entry.waiting_for if entry.is_waiting else None
    if not entry.is_final and durable and _is_orchestrated(entry):
        live = await durable.get_status(entry.job.instance_id)
        if live.runtime_status in _STOPPED or _is_gone(entry, live):
            # It may have stopped by entering its end in the ledger, after we had read it there.
            entry = await ledger.get(entry.job.kind, entry.job.id)
        state, error, progress = (entry.state, entry.error, None) if entry.is_final else _live(entry, live)
        waiting_for = (progress or {}).pop("waitingFor", None) or waiting_for
    if state != ledger.RUNNING:
        waiting_for = None
    elif waiting_for:
        state = WAITING
    if state == ledger.COMPLETED:
        progress = {"percent": 100, "step": None}
    status: Status = {
        "kind": entry.job.kind,
        "id": entry.job.id,
        "status": state,
        "progress": progress,
        "correlationId": entry.job.correlation_id,
        "submittedAt": entry.job.submitted_at,
        "startedAt": entry.started_at,
        "completedAt": entry.completed_at,
        "waitSeconds": entry.wait_seconds,
        "runSeconds": entry.run_seconds,
    }
    if waiting_for:
        status["waitingFor"] = waiting_for
    if entry.job.not_before:
        status["notBefore"] = entry.job.not_before
    if entry.held_until and state == ledger.PENDING:
        status["heldUntil"] = entry.held_until
    if entry.job.reply_to:
        status["replyTo"] = entry.job.reply_to
    if deliveries := channels.shown(entry):
        status["deliveries"] = deliveries
    if entry.result_blob:
        status["resultUrl"] = await results.url(entry.result_blob)
    elif entry.result is not None:
        status["result"] = await results.with_links(entry.result)
    if error:
        status["error"] = error
    return status


async def outcome(entry: Entry) -> Status:
    """The status of a job that has ended, as its sender is told it."""
    told = await describe(entry, None)
    # They change while it is told; what is told shall not.
    told.pop("deliveries", None)
    return told


async def wait(kind: str, id: str, seconds: float) -> None:
    """Wait until the job has ended, or for so many seconds."""
    pause = 0.05
    try:
        async with asyncio.timeout(seconds):
            while not (await ledger.get(kind, id)).is_final:
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 1.5)
    except TimeoutError:
        return


async def news(
    kind: str,
    id: str,
    durable: DurableOrchestrationClient,
    seconds: float,
    is_known: Callable[[str], bool],
    *,
    steps: bool = False,
) -> Status:
    """The status as soon as its version is not known, the job has ended, or so many seconds are over.

    Raises UnknownKindError, JobNotFoundError.
    """
    pause, until = 0.05, asyncio.get_running_loop().time() + seconds
    while True:
        found = await read(kind, id, durable, steps=steps)
        left = until - asyncio.get_running_loop().time()
        if left <= 0 or is_final(found) or not is_known(version(found)):
            return found
        await asyncio.sleep(min(pause, left))
        pause = min(1.0, pause * 1.5)


def version(status: Status) -> str:
    """Names what a status says. Links in it are new at each look, so they count only by the time that they work.

    Whoever is told that nothing has changed has links that work for half of their lifetime still.
    """
    said = {name: value for name, value in status.items() if name != "resultUrl"}
    said["result"] = _without_links(status.get("result"))
    if ("resultUrl" in status or said["result"] != status.get("result")) and status["completedAt"]:
        since = clock.now() - datetime.fromisoformat(status["completedAt"])
        said["links"] = since // timedelta(seconds=settings().result_url_lifetime / 2)
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def _without_links(result: Any) -> Any:
    if isinstance(result, list):
        return [_without_links(each) for each in result]
    if not isinstance(result, dict):
        return result
    return {name: _without_links(value) for name, value in result.items() if not (name == "url" and "blob" in result)}


def is_final(status: Status) -> bool:
    return status["status"] in ledger.FINAL


def _is_orchestrated(entry: Entry) -> bool:
    try:
        return kind_named(entry.job.kind).orchestrator is not None
    except UnknownKindError:
        # An older version of the app knew the kind; its jobs can still be listed.
        return False


def _is_gone(entry: Entry, live: DurableOrchestrationStatus) -> bool:
    """Whether the instance that began the job is no more: only what has ended or was ended can be purged."""
    return not live and entry.state == ledger.RUNNING


def end_of(entry: Entry, live: DurableOrchestrationStatus) -> tuple[str, dict[str, Any]] | None:
    """State and error of a job whose instance has stopped without entering them in the ledger; None if it has not."""
    if _is_gone(entry, live):
        return _GONE
    return _STOPPED.get(live.runtime_status) if live else None


def _live(entry: Entry, live: DurableOrchestrationStatus) -> tuple[str, Any, Any]:
    if stopped := end_of(entry, live):
        return *stopped, None
    if not live:
        return entry.state, None, None
    shown = live.custom_status if isinstance(live.custom_status, dict) else {}
    more = {name: value for name, value in shown.items() if name != "cancellable"}
    progress = {"percent": None, "step": None} | more if shown else None
    state = "Waiting" if live.runtime_status is OrchestrationRuntimeStatus.Suspended else entry.state
    return state, None, progress
