"""Filters of table inputs keep their meaning, whatever a message says."""

from __future__ import annotations

import pytest

from devhost.bindings.expressions import BindingExpressionError
from devhost.bindings.table_filter import TableFilter


@pytest.mark.parametrize(
    ("text", "data", "filter"),
    [
        ("Name eq '{name}'", {"name": "O'Neill' or '1' eq '1"}, "Name eq 'O''Neill'' or ''1'' eq ''1'"),
        ("Age gt {age} and {yes} eq Yes", {"age": -1.5e3, "yes": True}, "Age gt -1500 and True eq Yes"),
        ("{filter}", {"filter": "Age gt 1 or true"}, "Age gt 1 or true"),
        ("Born gt datetime'{born}'", {"born": "2026-03-29T01:30:00Z"}, "Born gt datetime'2026-03-29T01:30:00Z'"),
    ],
)
def test_values_are_put_in_as_what_they_are(text, data, filter):
    assert TableFilter(text).resolve(data) == filter


@pytest.mark.parametrize("value", ["25 or true", "Name", "", "'", "nan", "١"])
def test_what_is_no_number_needs_quotes(value):
    with pytest.raises(BindingExpressionError, match="filter parameter 'age'") as raised:
        TableFilter("Age gt {age}").resolve({"age": value})
    assert "'{age}'" in raised.value.remedy
