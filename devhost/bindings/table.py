"""The table input and output, over the Azure SDK."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from devhost.bindings.dotnet import compact_json
from devhost.bindings.expressions import BindingExpression
from devhost.bindings.results import OutputValueError, read_items
from devhost.bindings.table_filter import TableFilter

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

    from devhost.functions import Binding
    from devhost.host import Host

MAX_TRANSACTION = 100
"""The service takes at most this many rows in one transaction."""

Row = dict[str, Any]


class _TableBinding:
    def __init__(self, host: Host, binding: Binding) -> None:
        """Raises what StorageAccounts.account raises, and BindingExpressionError."""
        properties = binding.properties
        self._service = host.storage.tables(properties.get("connection"))
        self._expressions = {
            name: BindingExpression(str(properties[name]))
            for name in ("tableName", "partitionKey", "rowKey")
            if properties.get(name) is not None
        }
        if properties.get("filter") is not None:
            self._expressions["filter"] = TableFilter(properties["filter"])
        self._take = int(properties.get("take") or 0)

    def check(self, data: Mapping[str, Any]) -> None:
        """Raise BindingExpressionError if `data` lacks a name that one of the properties uses."""
        self._resolve(data)

    def _resolve(self, data: Mapping[str, Any]) -> dict[str, str]:
        return {name: expression.resolve(data) for name, expression in self._expressions.items()}


class TableInput(_TableBinding):
    """Reads one row (partition and row key given) as a JSON object, or a selection of rows as a JSON array."""

    async def read(self, data: Mapping[str, Any]) -> Datum:
        """The row or rows as JSON text; None for a missing row. Raises AzureError, also for rows of a missing table."""
        from azure.core.exceptions import ResourceNotFoundError

        wanted = self._resolve(data)
        table = self._service.get_table_client(wanted["tableName"])
        if not ("partitionKey" in wanted and "rowKey" in wanted):
            return Datum(compact_json([row async for row in self._query(table, wanted)]), "json")
        try:
            row = await table.get_entity(wanted["partitionKey"], wanted["rowKey"])
        except ResourceNotFoundError:
            return Datum(None, None)
        return Datum(compact_json(_plain(row)), "json")

    async def _query(self, table: TableClient, wanted: Mapping[str, str]) -> Any:
        # Without parentheses, as the real host joins them: an `or` in the filter reaches into other partitions.
        conditions = [wanted["filter"]] if wanted.get("filter") else []
        if wanted.get("partitionKey"):
            escaped = wanted["partitionKey"].replace("'", "''")
            conditions.insert(0, f"PartitionKey eq '{escaped}'")
        left = self._take
        async for row in table.query_entities(" and ".join(conditions), results_per_page=self._take or None):
            yield _plain(row)
            left -= 1
            if left == 0:
                return


class TableOutput(_TableBinding):
    """Inserts rows, never updates: an existing row is a conflict that fails the invocation (functions-host.md §2.4)."""

    async def write(self, value: Datum, data: Mapping[str, Any]) -> None:
        """Insert an object, or each object of an array, in transactions by partition; creates a missing table."""
        from azure.core.exceptions import ResourceNotFoundError
        from azure.data.tables import TableTransactionError

        wanted = self._resolve(data)
        table = self._service.get_table_client(wanted["tableName"])
        rows = [_row(item, wanted.get("partitionKey"), wanted.get("rowKey")) for item in read_items(value)]
        for batch in transactions(rows):
            operations = [("create", row) for row in batch]
            try:
                await table.submit_transaction(operations)
            except (ResourceNotFoundError, TableTransactionError) as error:
                if getattr(error, "status_code", None) != 404:
                    raise
                await self._service.create_table_if_not_exists(wanted["tableName"])
                await table.submit_transaction(operations)


def transactions(rows: list[Row]) -> Iterator[list[Row]]:
    """Group rows into transactions: one partition, at most 100 rows, no row key twice."""
    open_batches: dict[str, dict[str, Row]] = {}
    for row in rows:
        batch = open_batches.setdefault(row["PartitionKey"], {})
        if row["RowKey"] in batch or len(batch) == MAX_TRANSACTION:
            yield list(batch.values())
            batch.clear()
        batch[row["RowKey"]] = row
    yield from (list(batch.values()) for batch in open_batches.values() if batch)


def _row(item: Any, partition_key: str | None, row_key: str | None) -> Row:
    from azure.data.tables import EdmType, EntityProperty

    if not isinstance(item, dict):
        raise OutputValueError(
            f"A table output takes a JSON object or an array of objects, not {type(item).__name__}.",
            "Set it to json.dumps({...}).",
        )
    row: Row = {"PartitionKey": partition_key, "RowKey": row_key}
    for name, value in item.items():
        key = {"partitionkey": "PartitionKey", "rowkey": "RowKey"}.get(name.lower(), name)
        if isinstance(value, dict | list):
            raise OutputValueError(
                f"The table column '{name}' holds an object or array; a column takes only a scalar.",
                "Store it as text: json.dumps(...).",
            )
        if isinstance(value, int) and not isinstance(value, bool) and key == name:
            # .NET reads every JSON integer as a long; the Python SDK would choose Int32.
            value = EntityProperty(value, EdmType.INT64)
        if value is not None:
            row[key] = str(value) if key != name or key in ("PartitionKey", "RowKey") else value
    missing = [key for key in ("PartitionKey", "RowKey") if row[key] is None]
    if missing:
        raise OutputValueError(
            f"A table row has no {' and no '.join(missing)}.", "Put it into the object or into the binding."
        )
    return row


def _plain(row: Mapping[str, Any]) -> Row:
    """A row as JSON values: dates as ISO text, 64-bit integers as numbers, GUIDs and bytes as text; no Timestamp."""
    return {name: _scalar(value) for name, value in row.items()}


def _scalar(value: Any) -> Any:
    if isinstance(value, tuple):
        return value[0]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if isinstance(value, str | int | float | bool) else str(value)
