"""Retry policies: how many, how long between."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from devhost.retry import RetryPolicy

SECOND = timedelta(seconds=1)


def test_a_fixed_delay_stays_the_same():
    policy = RetryPolicy.from_settings(
        {"strategy": "fixed_delay", "max_retry_count": "3", "delay_interval": "00:00:05"}
    )
    assert [policy.delay(n) for n in range(3)] == [5 * SECOND] * 3
    assert [policy.allows(n) for n in range(4)] == [True, True, True, False]


def test_exponential_delays_grow_between_their_bounds():
    policy = RetryPolicy.from_settings(
        {"strategy": "exponential_backoff", "max_retry_count": "-1", "minimum_interval": "00:00:04",
         "maximum_interval": "00:15:00"}
    )  # fmt: skip
    assert policy.delay(0) == 4 * SECOND
    for done in range(1, 5):
        base = 2 ** (done - 1) * 4
        assert (4 + 0.8 * base) * SECOND <= policy.delay(done) <= (4 + 1.2 * base) * SECOND
    assert policy.delay(5000) == timedelta(minutes=15)
    assert policy.allows(10**6)


def test_host_json_writes_the_same_in_camel_case():
    policy = RetryPolicy.from_settings({"strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:01"})
    assert policy == RetryPolicy(2, SECOND)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"strategy": "sometimes", "max_retry_count": "1"}, "sometimes"),
        ({"strategy": "fixed_delay", "delay_interval": "00:00:01"}, "maxretrycount"),
        ({"strategy": "fixed_delay", "max_retry_count": "1"}, "delayinterval"),
        ({"strategy": "fixed_delay", "max_retry_count": "1", "delay_interval": "soon"}, "time span"),
    ],
)
def test_what_is_no_policy(values, words):
    with pytest.raises(ValueError, match=words):
        RetryPolicy.from_settings(values)


def test_the_random_numbers_of_a_test_in_the_same_process_are_left_alone():
    before = random.getstate()
    RetryPolicy(5, SECOND, 10 * SECOND).delay(3)
    assert random.getstate() == before
