"""host.json's extensions.blobs and the setting of the scan."""

from __future__ import annotations

import os

import pytest

from devhost.listeners.blob_options import BlobOptions, BlobOptionsError
from devhost.storage.queue_options import QueueOptions


def test_the_defaults_of_blobs_are_those_of_the_real_host_but_for_the_scan():
    options = BlobOptions.read({})
    assert options == BlobOptions(8 * os.cpu_count(), 5, 1.0)


@pytest.mark.parametrize(("most", "batch", "threshold"), [(1, 1, 0), (3, 2, 1), (16, 9, 7), (100, 32, 68)])
def test_the_parallelism_becomes_batch_and_threshold(most, batch, threshold):
    options = BlobOptions.read({"MaxDegreeOfParallelism": most, "poisonBlobThreshold": "2"}, "0.5")
    queue = options.for_queue(QueueOptions(lease=7, visibility_timeout=30, max_dequeue_count=9))
    assert (queue.batch_size, queue.new_batch_threshold) == (batch, threshold)
    assert (queue.max_dequeue_count, queue.visibility_timeout, queue.lease) == (2, 0, 7)
    assert options.scan_interval == 0.5


@pytest.mark.parametrize(
    ("section", "scan", "why"),
    [
        ({"maxDegreeOfParallelism": 0}, None, "extensions.blobs.maxDegreeOfParallelism is '0'"),
        ({"poisonBlobThreshold": "x"}, None, "extensions.blobs.poisonBlobThreshold is 'x'"),
        ({}, "0", "DEVHOST_BLOB_SCAN is '0'"),
        ({}, "nan", "DEVHOST_BLOB_SCAN is 'nan'"),
        ({}, "soon", "DEVHOST_BLOB_SCAN is 'soon'"),
    ],
)
def test_a_value_of_blobs_out_of_its_range_is_refused(section, scan, why):
    with pytest.raises(BlobOptionsError, match=why):
        BlobOptions.read(section, scan)
