"""Mails with the outcome of a job, for kinds that ask for one (`jobs.catalog.Kind.outcome_mail_to`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from activities import mail
from jobs import results
from jobs.catalog import KINDS
from jobs.entry import Entry
from jobs.settings import settings


async def send(entry: Entry, id: str) -> None:
    """Send it. `id`: the same in each try, so that a mail which comes twice is known.

    Raises MailRefusedError, MailServerUnavailableError, SettingMissingError.
    """
    job, kind = entry.job, KINDS.get(entry.job.kind)
    if kind is None or kind.outcome_mail_to is None or not (to := kind.outcome_mail_to(settings())):
        # It was taken out of the catalog or the settings since.
        return
    lines = [f"The {job.kind} job {job.id} is {entry.state}."]
    if entry.error:
        lines.append(f"{entry.error.get('type', 'Unknown')}: {entry.error.get('message', '')}")
    if isinstance(entry.result, dict):
        lines += [f"{name}: {value}" for name, value in entry.result.items() if isinstance(value, int | float | str)]
    lines += [f"{name}: {await results.link(blob, settings().report_link_lifetime)}" for name, blob in _files(entry)]
    lines.append(f"{settings().nightshift_url}/api/jobs/{job.kind}/{job.id} has its status.")
    subject = f"{job.kind} {job.id}: {entry.state}"
    await mail.deliver(to, subject, "\n\n".join(lines) + "\n", key=id, correlation_id=job.correlation_id)


def _files(entry: Entry) -> Iterator[tuple[str, str]]:
    """Name and blob of the files that the result names."""
    result: dict[str, Any] = entry.result if isinstance(entry.result, dict) else {}
    for name, value in result.items():
        if isinstance(value, dict) and results.is_linked(value.get("blob")):
            yield name, value["blob"]
