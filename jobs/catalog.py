"""The catalog: every kind of job, what it must be given, and what does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter

from activities import analytics, mail
from jobs.call import Work
from jobs.errors import UnknownKindError
from jobs.inputs import (
    AnalyticsInput,
    ApprovalInput,
    Input,
    MailInput,
    OrderImportInput,
    OrderInput,
    PhotoInput,
    RefundInput,
    RetentionInput,
    SalesReportInput,
    Sensitive,
    ShipmentInput,
)
from jobs.settings import Settings


@dataclass(frozen=True)
class Kind:
    """One kind of job. Either an orchestrator does it, or a single activity without any orchestration."""

    name: str
    summary: str
    input_model: type[Input]
    deadline: timedelta
    """How long a job may take from its start. Past it no further step is begun, and what was done is undone."""
    orchestrator: str | None = None
    """The name of the orchestrator function."""
    activity: Work | None = None
    """The function that does the whole job."""
    id_of: Callable[[Input], str] | None = None
    """The id that a job has by its input, so that it is done once whoever asks for it (see `jobs.ids`)."""
    undoes: bool = False
    """Whether what it has done must be undone before it may be done again."""
    outcome_mail_to: Callable[[Settings], str | None] | None = None
    """Who gets a mail when such a job has ended, however it has."""
    pace: Callable[[Settings], tuple[int, float]] | None = None
    """How many may begin at once, and how many a second after those (see `jobs.pacing`); any number if it has none."""

    @property
    def sensitive_fields(self) -> frozenset[str]:
        """The fields of the input that must not travel."""
        fields = self.input_model.model_fields.items()
        return frozenset(name for name, field in fields if any(isinstance(mark, Sensitive) for mark in field.metadata))


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "order",
            "Sell something: reserve the stock, charge the card, confirm, hand the parcel over. All or nothing.",
            OrderInput,
            deadline=timedelta(hours=1),
            orchestrator="order",
            undoes=True,
            pace=attrgetter("orders_at_once", "orders_per_second"),
        ),
        Kind(
            "mail",
            "Send a mail to one person.",
            MailInput,
            deadline=timedelta(minutes=2),
            activity=mail.send,
        ),
        Kind(
            "analytics",
            "Record that something happened.",
            AnalyticsInput,
            deadline=timedelta(minutes=1),
            activity=analytics.record,
        ),
        Kind(
            "photo",
            "Make thumbnails of a photo, in three sizes and two formats, and a manifest of them.",
            PhotoInput,
            deadline=timedelta(minutes=15),
            orchestrator="photo",
        ),
        Kind(
            "order-import",
            "Read a file of orders: one order job for each good row, a report of the bad ones.",
            OrderImportInput,
            deadline=timedelta(hours=6),
            orchestrator="order_import",
            outcome_mail_to=attrgetter("report_mail_to"),
        ),
        Kind(
            "sales-report",
            "Report on the sales of one day, as CSV and as a page with a chart.",
            SalesReportInput,
            deadline=timedelta(hours=1),
            orchestrator="sales_report",
            id_of=attrgetter("day"),
        ),
        Kind(
            "shipment",
            "Watch a parcel until it is delivered or comes back, and mail its customer at each change.",
            ShipmentInput,
            deadline=timedelta(days=45),
            orchestrator="shipment",
            id_of=attrgetter("parcel"),
        ),
        Kind(
            "approval",
            "Have a person decide: ask by mail, remind, ask the next one, decide by default.",
            ApprovalInput,
            deadline=timedelta(hours=1),
            orchestrator="approval",
            undoes=True,
        ),
        Kind(
            "refund",
            "Give money back for an order, all or a part, once a person has approved.",
            RefundInput,
            deadline=timedelta(hours=1),
            orchestrator="refund",
            undoes=True,
            outcome_mail_to=attrgetter("report_mail_to"),
        ),
        Kind(
            "retention",
            "Delete what is past its age: instances, results, claims, rows, uploads, thumbnails.",
            RetentionInput,
            deadline=timedelta(hours=6),
            orchestrator="retention",
        ),
    )
}


def kind_named(name: str) -> Kind:
    """The kind of that name. Raises UnknownKindError."""
    try:
        return KINDS[name]
    except KeyError:
        raise UnknownKindError(f"there is no such kind of job; there are {', '.join(sorted(KINDS))}") from None
