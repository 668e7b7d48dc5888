"""host.json's extensions.serviceBus: defaults, ranges, older spellings."""

from __future__ import annotations

import math
import os

import pytest

from devhost.listeners.service_bus_options import ServiceBusOptions, ServiceBusOptionsError


def test_defaults_of_service_bus_are_those_of_the_real_host():
    assert ServiceBusOptions.read({}) == ServiceBusOptions(
        prefetch_count=0,
        auto_complete=True,
        max_lock_renewal=300.0,
        max_concurrent_calls=16 * os.cpu_count(),
        max_concurrent_sessions=8,
        max_concurrent_calls_per_session=1,
        max_batch_size=1000,
        min_batch_size=1,
        max_batch_wait=30.0,
        session_idle_timeout=60.0,
        retry={
            "retry_total": 3,
            "retry_mode": "exponential",
            "retry_backoff_factor": 0.8,
            "retry_backoff_max": 60.0,
            "try_timeout": 60.0,
        },
    )


def test_values_of_service_bus_are_read_whatever_the_case_of_their_names():
    options = ServiceBusOptions.read(
        {
            "PrefetchCount": 5,
            "autoCompleteMessages": False,
            "maxAutoLockRenewalDuration": "00:10:00",
            "maxConcurrentCalls": "3",
            "maxConcurrentSessions": 4,
            "maxConcurrentCallsPerSession": 2,
            "maxMessageBatchSize": 10,
            "minMessageBatchSize": 2,
            "maxBatchWaitTime": "00:02:30",
            "sessionIdleTimeout": "00:00:05",
            "transportType": "AmqpTcp",
            "enableCrossEntityTransactions": True,
            "clientRetryOptions": {"mode": "fixed", "tryTimeout": "00:00:30", "delay": "00:00:01", "maxRetries": 0},
        }
    )
    assert (options.prefetch_count, options.auto_complete, options.max_lock_renewal) == (5, False, 600.0)
    assert (options.max_concurrent_calls, options.max_concurrent_sessions) == (3, 4)
    assert options.max_concurrent_calls_per_session == 2
    assert (options.max_batch_size, options.min_batch_size, options.max_batch_wait) == (10, 2, 150.0)
    assert options.session_idle_timeout == 5.0
    assert (options.retry["retry_total"], options.retry["retry_mode"]) == (0, "fixed")


def test_an_idle_session_is_kept_for_the_try_timeout():
    options = ServiceBusOptions.read({"clientRetryOptions": {"tryTimeout": "00:00:30"}})
    assert options.session_idle_timeout == 30.0


def test_an_infinite_renewal_is_a_negative_time_span():
    assert ServiceBusOptions.read({"maxAutoLockRenewalDuration": "-00:00:00.001"}).max_lock_renewal == math.inf


def test_the_older_spellings_count_where_the_newer_are_absent():
    older = {
        "messageHandlerOptions": {
            "autoComplete": False,
            "maxConcurrentCalls": 7,
            "maxAutoRenewDuration": "00:09:00",
        },
        "sessionHandlerOptions": {"maxConcurrentSessions": 6, "messageWaitTime": "00:00:03"},
    }
    options = ServiceBusOptions.read(older)
    assert (options.auto_complete, options.max_concurrent_calls, options.max_lock_renewal) == (False, 7, 540.0)
    assert (options.max_concurrent_sessions, options.session_idle_timeout) == (6, 3.0)
    both = ServiceBusOptions.read({**older, "autoCompleteMessages": True, "maxConcurrentCalls": 8})
    assert (both.auto_complete, both.max_concurrent_calls) == (True, 8)
    assert not ServiceBusOptions.read({"batchOptions": {"autoComplete": False}}).auto_complete
    renewed = ServiceBusOptions.read({"sessionHandlerOptions": {"maxAutoRenewDuration": "00:02:00"}})
    assert renewed.max_lock_renewal == 120.0


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"prefetchCount": -1}, r"extensions\.serviceBus\.prefetchCount is '-1', but must be .* at least 0"),
        ({"autoCompleteMessages": "perhaps"}, "true or false"),
        ({"maxAutoLockRenewalDuration": 300}, "a time span such as 00:05:00"),
        ({"maxConcurrentCalls": 0}, "maxConcurrentCalls is '0'"),
        ({"maxConcurrentSessions": "many"}, "maxConcurrentSessions is 'many'"),
        ({"maxConcurrentCallsPerSession": 0}, "maxConcurrentCallsPerSession"),
        ({"maxMessageBatchSize": 0}, "maxMessageBatchSize"),
        ({"minMessageBatchSize": 5, "maxMessageBatchSize": 4}, "at most maxMessageBatchSize, which is 4"),
        ({"maxBatchWaitTime": "00:02:31"}, "at most 150 seconds"),
        ({"sessionIdleTimeout": "00:00:00"}, "longer than 00:00:00"),
        ({"transportType": "amqpWebSockets"}, r"amqpTcp \(devhost covers no other\)"),
        ({"messageHandlerOptions": {"maxConcurrentCalls": 0}}, r"messageHandlerOptions\.maxConcurrentCalls is '0'"),
        ({"messageHandlerOptions": []}, "messageHandlerOptions is .* but must be an object"),
        ({"clientRetryOptions": {"mode": "often"}}, "exponential or fixed"),
        ({"clientRetryOptions": {"maxRetries": 101}}, "at most 100"),
    ],
)
def test_a_service_bus_value_out_of_its_range_is_refused(section, message):
    with pytest.raises(ServiceBusOptionsError, match=message):
        ServiceBusOptions.read(section)
