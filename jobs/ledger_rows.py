"""Rows of the ledger as they are stored: read, checked and typed, so that one which somebody has damaged is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from azure.data.tables import TableEntity
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from jobs.entry import OPEN_COMPENSATIONS, PENDING, STATES, Entry, JobRef
from jobs.errors import DamagedRowError

EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 6, 1, tzinfo=UTC)
"""Nobody meant a moment beyond, and by a deadline or an offset more the calendar would end."""


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, RecursionError) as error:
        raise ValueError("no JSON") from error


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not EARLIEST < moment < LATEST:
        raise ValueError("no moment that can be reckoned with")
    return text


def _state(text: str) -> str:
    if text not in STATES:
        raise ValueError("no state")
    return text


def _error(said: dict[str, Any]) -> dict[str, Any]:
    left_open = said.get(OPEN_COMPENSATIONS, [])
    texts = [said.get("type", ""), said.get("message", ""), *(left_open if isinstance(left_open, list) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("no error")
    return said


def _delivery(said: dict[str, Any]) -> dict[str, Any]:
    if not (isinstance(said.get("state"), str) and isinstance(said.get("attempts"), int)):
        raise ValueError("no delivery")
    return said


Moment = Annotated[str, AfterValidator(_moment)]
"""ISO 8601, with a time zone."""
Parsed = BeforeValidator(_parsed)
"""Stored as the text of a JSON value."""


class _Row(BaseModel):
    """What the app reads of a row. Storage has types, so a column of another type is damaged."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel, hide_input_in_errors=True)

    kind: str = Field(alias="PartitionKey")
    id: str = Field(alias="RowKey")
    state: Annotated[str, AfterValidator(_state)]
    digest: str
    correlation_id: str
    submitted_at: Moment
    source: str = "http"
    claim: str | None = None
    not_before: Moment | None = None
    held_until: Moment | None = None
    run: Annotated[int, Field(ge=1)] = 1
    attempt: int = 1
    runner: str | None = None
    started_at: Moment | None = None
    completed_at: Moment | None = None
    waiting_for: str | None = None
    overdue_at: Moment | None = None
    result: Annotated[Any, Parsed] = None
    result_blob: str | None = None
    error: Annotated[Annotated[dict[str, Any], AfterValidator(_error)] | None, Parsed] = None
    buried: bool = False
    reopened_by: str | None = None
    reply_to: str | None = None
    reply_correlation_id: str | None = None
    reply_session: str | None = None
    callback_url: str | None = None
    deliveries: Annotated[dict[str, Annotated[dict[str, Any], AfterValidator(_delivery)]], Parsed] = {}
    owed: bool = False


COLUMNS = tuple(field.alias for field in _Row.model_fields.values())
"""All that `entry_of` reads."""


def entry_of(stored: Mapping[str, Any], tag: str) -> Entry:
    """A row as it is stored, with its ETag, typed. Raises DamagedRowError."""
    try:
        # Storage answers null for a column that was asked for and is not there.
        row = _Row.model_validate({name: value for name, value in stored.items() if value is not None})
    except ValidationError as error:
        columns = sorted({str(each["loc"][0]) for each in error.errors()})
        raise DamagedRowError(stored["PartitionKey"], stored["RowKey"], columns) from None
    return Entry(
        job=JobRef(
            row.kind,
            row.id,
            row.correlation_id,
            row.submitted_at,
            row.claim,
            # With the ETag of a later state a second runner would begin what the first is doing.
            tag if row.state == PENDING else None,
            row.source,
            row.reply_to,
            row.run,
            row.not_before,
            row.callback_url is not None,
        ),
        tag=tag,
        state=row.state,
        digest=row.digest,
        started_at=row.started_at,
        completed_at=row.completed_at,
        held_until=row.held_until,
        runner=row.runner,
        attempt=row.attempt,
        result=row.result,
        result_blob=row.result_blob,
        error=row.error,
        is_buried=row.buried,
        reopened_by=row.reopened_by,
        waiting_for=row.waiting_for or None,
        overdue_at=row.overdue_at,
        callback_url=row.callback_url,
        reply_correlation_id=row.reply_correlation_id,
        reply_session=row.reply_session,
        deliveries=row.deliveries,
        is_owed=row.owed,
    )


def sort_out(stored: Iterable[TableEntity]) -> tuple[list[tuple[TableEntity, Entry]], list[str]]:
    """Rows from a query that can be read, each with what it says; and the jobs of the others, as `<kind>/<id>`."""
    read: list[tuple[TableEntity, Entry]] = []
    damaged: list[str] = []
    for row in stored:
        try:
            read.append((row, entry_of(row, row.metadata["etag"])))
        except DamagedRowError as error:
            damaged.append(error.job)
    return read, damaged
