"""How the host reads an output's value before it writes it."""

from __future__ import annotations

import pytest
from azure.functions.meta import Datum

from devhost.bindings.results import OutputValueError, read_items
from devhost.bindings.table import transactions


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (Datum("text", "string"), ["text"]),
        (Datum("12", "string"), ["12"]),
        (Datum('["a", {"b": 1}]', "string"), ["a", {"b": 1}]),
        (Datum('["a"]', "json"), ["a"]),
        (Datum('{"a": 1}', "string"), [{"a": 1}]),
        (Datum("[]", "string"), []),
        (Datum(b"[1]", "bytes"), [b"[1]"]),
        (Datum('"[1, 2]"', "json"), [1, 2]),
    ],
)
def test_arrays_fan_out_wherever_they_hide(value, items):
    assert read_items(value) == items


def test_a_text_that_only_looks_like_json_is_refused():
    with pytest.raises(OutputValueError, match="starts and ends like JSON"):
        read_items(Datum("{hello}", "string"))


def test_table_rows_are_grouped_by_partition_hundred_at_most_and_no_key_twice():
    rows = [{"PartitionKey": "a", "RowKey": str(n)} for n in range(101)]
    rows += [{"PartitionKey": "b", "RowKey": "1"}, {"PartitionKey": "b", "RowKey": "1"}]
    batches = list(transactions(rows))
    assert sorted(len(batch) for batch in batches) == [1, 1, 1, 100]
    assert sum(len(batch) for batch in batches) == len(rows)
    assert all(len({row["PartitionKey"] for row in batch}) == 1 for batch in batches)
