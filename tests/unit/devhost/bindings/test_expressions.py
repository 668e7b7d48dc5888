"""Binding expressions: what {name} becomes, and what happens when it cannot become anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest

from devhost.bindings.expressions import BindingExpression, BindingExpressionError

DATA = {
    "Id": "7",
    "DequeueCount": 2,
    "customer": {"address": {"city": "Bonn"}, "vip": True},
    "InsertionTime": datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC),
    "sys": {"methodname": "Work", "utcnow": datetime.now(UTC), "randguid": "unused"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("orders/{id}.json", "orders/7.json"),
        ("{ID}-{dequeuecount}", "7-2"),
        ("{customer.address.city}/{Customer.VIP}", "Bonn/True"),
        ("{{id}}", "{id}"),
        ("{sys.methodname}", "Work"),
        ("{SYS.MethodName}", "Work"),
        ("{InsertionTime:yyyyMMdd}", "20261122"),
        ("{InsertionTime}", "2026-11-22T09-05-07Z"),
    ],
)
def test_names_are_filled_in(text, expected):
    assert BindingExpression(text).resolve(DATA) == expected


def test_a_missing_name_has_the_real_hosts_message():
    with pytest.raises(BindingExpressionError, match=r"^No value for named parameter 'nobody'\.$"):
        BindingExpression("{nobody}").resolve(DATA)


def test_a_step_into_something_that_is_no_object_is_missing():
    with pytest.raises(BindingExpressionError, match="No value for named parameter 'id.length'"):
        BindingExpression("{id.length}").resolve(DATA)


@pytest.mark.parametrize("text", ["{id", "id}", "{}", "a{b{c}"])
def test_unbalanced_braces_are_refused_when_read(text):
    with pytest.raises(BindingExpressionError, match="Invalid template"):
        BindingExpression(text)


def test_rand_guid_is_new_each_time_and_knows_its_formats():
    dashed = BindingExpression("{rand-guid}")
    assert UUID(dashed.resolve({})) != UUID(dashed.resolve({}))
    assert re.fullmatch("[0-9a-f]{32}", BindingExpression("{rand-guid:N}").resolve({}))
    assert re.fullmatch("[0-9a-f]{32}", BindingExpression("{sys.randguid:N}").resolve(DATA))
    assert re.fullmatch(r"\{[0-9a-f-]{36}\}", BindingExpression("{rand-guid:B}").resolve({}))


def test_datetime_is_utc_now_unless_the_payload_has_one():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ", BindingExpression("{datetime}").resolve({}))
    assert BindingExpression("{datetime:yyyy}").resolve({}) == str(datetime.now(UTC).year)
    assert BindingExpression("{DateTime}").resolve({"datetime": "mine"}) == "mine"


def test_an_unknown_format_names_the_way_out():
    with pytest.raises(BindingExpressionError, match="custom format"):
        BindingExpression("{datetime:G}").resolve({})


def test_constants_are_known_as_such():
    assert BindingExpression("a{{b").is_constant
    assert not BindingExpression("a{b}").is_constant
