"""Which fault hits which request, and how often."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sandbox.faults import Faults
from sandbox.models import FaultOrder


def ordered(*orders: dict) -> Faults:
    faults = Faults()
    for order in orders:
        faults.add(FaultOrder.model_validate(order))
    return faults


def hit(faults: Faults, **subject: str) -> str | None:
    fault = faults.take(**subject)
    return fault.fault if fault else None


def test_every_condition_given_must_hold():
    faults = ordered({"when": {"customer": "c-1", "operation": "charge"}, "fault": "error"})
    assert hit(faults, operation="charge", customer="c-1", reference="A-1") == "error"
    assert hit(faults, operation="refund", customer="c-1") is None
    assert hit(faults, operation="charge", customer="c-2") is None
    assert hit(faults, operation="charge") is None


def test_no_condition_hits_everything():
    faults = ordered({"fault": "error"})
    assert hit(faults, operation="mail", recipient="a@example.com") == "error"
    assert hit(faults, operation="void") == "error"


def test_a_fault_is_used_up():
    faults = ordered({"fault": "error", "times": 2})
    assert [hit(faults, operation="charge") for _ in range(3)] == ["error", "error", None]


def test_the_first_that_fits_hits_then_the_next():
    faults = ordered({"fault": "drop_after", "times": 1}, {"fault": "throttle", "times": 1})
    assert [hit(faults, operation="charge") for _ in range(3)] == ["drop_after", "throttle", None]


def test_a_fault_without_times_lasts():
    faults = ordered({"fault": "error"})
    assert [hit(faults, operation="charge") for _ in range(50)] == ["error"] * 50


def test_what_was_ordered_can_be_read():
    faults = ordered({"when": {"reference": "A-1"}, "fault": "throttle", "times": 3, "retryAfter": 7})
    hit(faults, operation="charge", reference="A-1")
    (shown,) = faults.as_json()["faults"]
    assert shown["when"] == {"reference": "A-1"}
    assert (shown["fault"], shown["times"], shown["retryAfter"], shown["hits"]) == ("throttle", 3, 7, 1)


@pytest.mark.parametrize(
    "order",
    [{}, {"fault": "explode"}, {"fault": "error", "times": 0}, {"fault": "error", "when": {"colour": "red"}}],
)
def test_an_order_that_means_nothing_is_refused(order):
    with pytest.raises(ValidationError):
        FaultOrder.model_validate(order)
