"""Erasing: blobs and table rows are deleted and counted; in a dry run they are only counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, TableTransactionError
from azure.data.tables.aio import TableClient

from jobs.clients import clients
from jobs.etags import if_match

AT_ONCE = 16
"""Requests at the same time."""
MOST_IN_TRANSACTION = 100
"""Rows, by the limit of table storage."""

Item = TypeVar("Item")


class Eraser:
    """Deletes, or only counts. Everything may be deleted twice: what is gone is not counted again."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.counts: Counter[str] = Counter()
        """What was deleted, or would be, by what it is called."""
        self.kept: Counter[str] = Counter()
        """What is past its age and stays, by the reason."""

    async def blob(self, what: str, container: str, name: str, etag: str | None = None) -> None:
        """Erase one blob, if it is there, and is still the version that has the `etag`, if one is given."""
        client = clients().container(container).get_blob_client(name)
        guard = if_match(etag) if etag else {}
        try:
            if self.dry_run:
                await client.get_blob_properties(**guard)
            else:
                await client.delete_blob(**guard)
        except (ResourceNotFoundError, ResourceModifiedError):
            return
        self.counts[what] += 1

    async def folder(self, what: str, container: str, prefix: str, *, but: str | None = None) -> None:
        """Erase all blobs whose names begin so; not those that end in `but`."""
        names = [name async for name in clients().container(container).list_blob_names(name_starts_with=prefix)]
        for name in names:
            if but is None or not name.endswith(but):
                await self.blob(what, container, name)

    async def rows(self, what: str, table: TableClient, rows: Sequence[TableEntity]) -> None:
        """Erase rows of a table, unless they were changed since they were read."""
        batches = []
        for _, group in groupby(rows, key=lambda row: row["PartitionKey"]):
            some = list(group)
            batches += [some[start : start + MOST_IN_TRANSACTION] for start in range(0, len(some), MOST_IN_TRANSACTION)]
        if self.dry_run:
            self.counts[what] += len(rows)
            return
        await for_each(batches, lambda batch: self._delete(what, table, batch))

    async def _delete(self, what: str, table: TableClient, batch: Sequence[TableEntity]) -> None:
        try:
            await table.submit_transaction([("delete", _keys(row), _unchanged(row)) for row in batch])
            self.counts[what] += len(batch)
        except TableTransactionError as error:
            if error.status_code not in (404, 412):
                raise
            # One was deleted or changed, and storage has done nothing.
            await for_each(batch, lambda row: self._delete_one(what, table, row))

    async def _delete_one(self, what: str, table: TableClient, row: TableEntity) -> None:
        try:
            await table.delete_entity(_keys(row), **_unchanged(row))
            self.counts[what] += 1
        except (ResourceNotFoundError, ResourceModifiedError):
            return


async def for_each(items: Iterable[Item], act: Callable[[Item], Awaitable[None]]) -> None:
    """Do something for each, for some at the same time. What one raises ends it all, and is raised."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> None:
        async with free:
            await act(item)

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


def _keys(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}


def _unchanged(row: TableEntity) -> dict[str, Any]:
    return if_match(row.metadata["etag"])
