"""host.json's extensions.queues: defaults, ranges, and the lease."""

from __future__ import annotations

import os

import pytest

from devhost.storage.queue_options import QueueOptions, QueueOptionsError


def test_defaults_are_those_of_func_start():
    assert QueueOptions.read({}) == QueueOptions(
        batch_size=16,
        new_batch_threshold=8 * os.cpu_count(),
        max_polling_interval=2.0,
        max_dequeue_count=5,
        visibility_timeout=0,
        message_encoding="base64",
        lease=600,
    )


def test_values_are_read_whatever_the_case_of_their_names():
    section = {
        "BatchSize": 4,
        "newBatchThreshold": 0,
        "maxPollingInterval": "00:01:00",
        "visibilityTimeout": "00:00:30",
        "maxDequeueCount": 1,
        "messageEncoding": "None",
    }
    assert QueueOptions.read(section, "5") == QueueOptions(4, 0, 60.0, 1, 30, "none", 5)


def test_the_threshold_follows_the_batch_size():
    assert QueueOptions.read({"batchSize": 1}).new_batch_threshold == 0
    assert QueueOptions.read({"batchSize": 32}).new_batch_threshold == 16 * os.cpu_count()


@pytest.mark.parametrize(
    ("section", "lease", "message"),
    [
        ({"batchSize": 33}, None, "extensions.queues.batchSize is '33'.*at least 1 and at most 32"),
        ({"batchSize": "many"}, None, "batchSize is 'many'"),
        ({"newBatchThreshold": -1}, None, "newBatchThreshold"),
        ({"maxPollingInterval": "00:00:00.05"}, None, "at least 00:00:00.1"),
        ({"maxPollingInterval": "soon"}, None, "time span"),
        ({"maxDequeueCount": 0}, None, "maxDequeueCount"),
        ({"messageEncoding": "utf7"}, None, "base64 or none"),
        ({}, "0", "The setting DEVHOST_QUEUE_LEASE is '0'"),
    ],
)
def test_values_out_of_range_are_refused(section, lease, message):
    with pytest.raises(QueueOptionsError, match=message):
        QueueOptions.read(section, lease)
