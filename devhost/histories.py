"""`devhost history` and `devhost replay`: save what an instance did, and find out whether the app would do it again."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from devhost.durable import sqlite_queries
from devhost.durable.history_check import Replayed, check
from devhost.durable.saved_history import SavedHistory
from devhost.durable.sdk_replay import quicken_replay
from devhost.durable.worker import HostWorker
from devhost.errors import DevhostError
from devhost.host import Host
from devhost.invoker import Invoker

REMEDY = (
    'Instances that were started with the recorded code would fail with "Non-Deterministic workflow detected". The '
    "orchestrator, or a helper that it calls, has been changed. Keep the old way for them: branch by `context.version` "
    "(raise defaultVersion under extensions.durableTask in host.json, so that new instances get the new way), or put "
    "the new code under another orchestrator's name. If no such instance can be running any more, record the history "
    "again."
)
GOES_ON = "goes on where the recording ended: nothing that runs breaks; record it again to have the rest checked"


class NoHistoryError(DevhostError):
    """There is no history where one was asked for."""


def save(hub: Path, instance: str) -> str:
    """What a file of an instance's history holds. A host may be running on the task hub. Raises NoHistoryError."""
    try:
        # Read-only, since a hub that is opened by name comes to be.
        with closing(sqlite3.connect(f"{hub.absolute().as_uri()}?mode=ro", uri=True)) as database:
            history = sqlite_queries.split(sqlite_queries.history(database, instance))
    except sqlite3.Error as error:
        raise NoHistoryError(
            f"The task hub {hub} cannot be read: {error}.", "Name its file with --task-hub, or start the app once."
        ) from None
    if not history:
        raise NoHistoryError(
            f"The task hub {hub} has no instance {instance} that has begun.",
            "Ids are case-sensitive. A running host lists them: GET /runtime/webhooks/durabletask/instances.",
        )
    return SavedHistory.of(instance, history).to_text()


def replay(host: Host, paths: Iterable[Path], say: Callable[[str], None]) -> bool:
    """Replay saved histories with the app of a host that is not started; whether it does again what all of them say.

    `paths`: files, or folders in which every *.json is one. `say` is told a line or more of each.
    Raises DevhostError when the app cannot be loaded, or a file holds no history.
    """
    # Before the app is loaded, which moves the process into its folder.
    files = [file for path in paths for file in _files(path)]
    histories = [(file, SavedHistory.read(file)) for file in files]
    host.read_settings()
    host.load()
    # What orchestrators log has been said once already, and one that fails may have failed then, too.
    logging.disable(logging.CRITICAL)
    try:
        return asyncio.run(_replay(host, histories, say))
    finally:
        logging.disable(logging.NOTSET)
        host.close()


async def _replay(host: Host, histories: Iterable[tuple[Path, SavedHistory]], say: Callable[[str], None]) -> bool:
    host.invoker = Invoker(host)
    worker = HostWorker(host)
    quicken_replay()
    is_good = True
    try:
        for file, history in histories:
            _check_known(history, worker, host)
            found = await check(history, lambda name, payload, id: worker.run_orchestrator(name, payload, id, True))
            is_good = is_good and found.difference is None
            say(_told(file, history, found))
    finally:
        host.invoker.close()
    return is_good


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise NoHistoryError(f"There is no history (*.json) in {path}.", "Save some with `python -m devhost history`.")
    return found


def _check_known(history: SavedHistory, worker: HostWorker, host: Host) -> None:
    if worker.has("orchestrator", history.orchestrator):
        return
    for error in host.errors:
        if error.function_name.lower() == history.orchestrator.lower():
            raise error
    raise NoHistoryError(
        f"The app has no orchestrator '{history.orchestrator}', which is that of {history.instance}.",
        f"It has: {', '.join(sorted(worker.orchestrators)) or 'none'}. Instances of one that is renamed fail: keep "
        "it under its old name until none is running.",
    )


def _told(file: Path, history: SavedHistory, found: Replayed) -> str:
    heading = f"{file}: {history.orchestrator} {history.instance}"
    if found.difference is None:
        result = GOES_ON if found.goes_on else "as recorded"
        return f"{heading}: {found.episodes} episodes, {len(history.events)} events: {result}"
    difference = found.difference
    return (
        f"{heading}: DIFFERS at event {difference.event} of {len(history.events)}\n"
        f"  recorded: {difference.recorded}\n  decided:  {difference.decided}\n  -> {REMEDY}"
    )
