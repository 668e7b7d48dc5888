"""What the app knows of each parcel: one row, in which the news of look-ups and webhooks come together.

Whatever way news take, in whatever order and however often, the row comes to be the same: news are told apart by their
sequence, and what is there stays. Table `parcels`: a partition a parcel, with one row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient

from jobs.clients import clients
from jobs.erasing import Eraser
from jobs.errors import PermanentError
from jobs.etags import if_match

ROW = "parcel"
MOST_CHANGES = 200
"""The newest are kept: a column takes 32,768 characters."""
ENDS = ("delivered", "returned")


class ParcelNotFoundError(PermanentError):
    """No shipment of such a parcel is watched here."""


@dataclass(frozen=True, order=True)
class Change:
    """A parcel came to a state. The carrier numbers its changes, and `at` is when it was, as the ledger writes it."""

    sequence: int
    state: str
    at: str


@dataclass(frozen=True)
class Parcel:
    """The row of one parcel."""

    id: str
    changes: tuple[Change, ...] = ()
    """By rising sequence."""
    told: int = 0
    """The customer knows of the changes up to this sequence."""
    instance: str | None = None
    """The Durable instance that watches the parcel."""
    wake: str | None = None
    """The event that this instance waits for, besides the time of its next look."""
    tag: str | None = None
    """The row's ETag; None: there is no row yet."""

    @property
    def newest(self) -> Change | None:
        return self.changes[-1] if self.changes else None

    @property
    def untold(self) -> tuple[Change, ...]:
        """What the customer must still be told. What comes to light after newer news were told is no news."""
        return tuple(change for change in self.changes if change.sequence > self.told)

    @property
    def is_over(self) -> bool:
        """Whether the parcel goes nowhere any more."""
        return self.newest is not None and self.newest.state in ENDS

    def heard(self, news: Iterable[Change]) -> Parcel:
        """The parcel with the news in it."""
        by_sequence = {change.sequence: change for change in news}
        by_sequence |= {change.sequence: change for change in self.changes}
        changes = tuple(by_sequence[number] for number in sorted(by_sequence))
        return replace(self, changes=changes[-MOST_CHANGES:])


async def read(id: str) -> Parcel:
    """What is known of a parcel, which may be nothing."""
    try:
        row = await _table().get_entity(id, ROW)
    except ResourceNotFoundError:
        return Parcel(id)
    changes = tuple(Change(**change) for change in json.loads(row["changes"]))
    return Parcel(id, changes, row["told"].value, row["instance"], row["wake"], row.metadata["etag"])


async def look(known: Parcel, news: Sequence[Change], *, instance: str, wake: str) -> Parcel:
    """Enter what a look has found, and by which event the instance is woken from now on. Returns what is known then."""
    while True:
        found = replace(known.heard(news), instance=instance, wake=wake)
        if await _enter(found):
            return found
        known = await read(known.id)


async def hear(id: str, news: Change) -> Parcel:
    """Enter what a webhook has told. Returns what is known then. Raises ParcelNotFoundError."""
    while True:
        known = await read(id)
        if known.tag is None:
            raise ParcelNotFoundError("no shipment of this parcel is watched here, or not yet")
        found = known.heard([news])
        if found == known or await _enter(found):
            return found


async def tell(id: str, sequence: int) -> None:
    """Enter that the customer knows of the changes up to this sequence."""
    while (known := await read(id)).told < sequence:
        if await _enter(replace(known, told=sequence)):
            return


async def erase(eraser: Eraser, id: str) -> None:
    """Forget a parcel, when its job is forgotten."""
    found = _table().query_entities("PartitionKey eq @id", parameters={"id": id})
    await eraser.rows("parcels", _table(), [row async for row in found])


async def _enter(parcel: Parcel) -> bool:
    """Write the row unless somebody has changed it since it was read."""
    row = _row(parcel)
    try:
        if parcel.tag is None:
            await _table().create_entity(row)
        else:
            await _table().update_entity(row, mode=UpdateMode.REPLACE, **if_match(parcel.tag))
    except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
        return False
    return True


def _row(parcel: Parcel) -> Mapping[str, Any]:
    newest = parcel.newest
    return {
        "PartitionKey": parcel.id,
        "RowKey": ROW,
        # For people: the rest of the row says it too.
        "state": newest.state if newest else "",
        "sequence": EntityProperty(newest.sequence if newest else 0, EdmType.INT64),
        "changes": json.dumps([asdict(change) for change in parcel.changes]),
        "told": EntityProperty(parcel.told, EdmType.INT64),
        "instance": parcel.instance,
        "wake": parcel.wake,
    }


def _table() -> TableClient:
    return clients().table("parcels")
