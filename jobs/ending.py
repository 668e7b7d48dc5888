"""The end of a job, however it came: it is entered once, a failure becomes a dead letter, and it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs import channels, dead_letters, delivery, ledger, results
from jobs.entry import Entry, JobRef, Run


async def enter(
    job: JobRef, run: Run | None, state: str, *, result: Any = None, error: Mapping[str, Any] | None = None
) -> Entry | None:
    """Enter the end (see `ledger.end`), and with it by what channels it is to be told: `conclude` comes next.

    Returns the job as it has ended, None when it was opened again since.
    """
    stored = await results.store(job, result)
    return await ledger.end(job, run, state, error=error, owes=channels.asked(job), **stored)


async def conclude(entry: Entry) -> None:
    """Bury a job that has failed, and tell how it has ended. Done twice, it does no harm.

    Raises ServiceBusUnavailableError, SettingMissingError: it is still to be buried.
    """
    try:
        await dead_letters.bury_job(entry)
    finally:
        await delivery.deliver(entry)
