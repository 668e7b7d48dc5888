"""Events that Event Grid posts: addresses of blobs, and what is none."""

from __future__ import annotations

import pytest

from devhost.http.event_grid import BlobEvent, EventError, blob_event, validation_code


def event(url, **data):
    return {"eventType": "Microsoft.Storage.BlobCreated", "data": {"url": url, **data}}


@pytest.mark.parametrize(
    ("url", "container", "name"),
    [
        ("https://shop.blob.core.windows.net/inbox/a.txt", "inbox", "a.txt"),
        ("https://shop.blob.core.windows.net/inbox/sub/%C3%A4%20b%252F.txt", "inbox", "sub/ä b%2F.txt"),
        ("http://127.0.0.1:10000/devstoreaccount1/inbox/a/b", "inbox", "a/b"),
        ("http://[::1]:10000/devstoreaccount1/inbox/a", "inbox", "a"),
        ("http://localhost:10000/devstoreaccount1/inbox/a", "inbox", "a"),
    ],
)
def test_an_address_names_container_and_blob(url, container, name):
    assert blob_event(event(url, eTag="0x1", blobType="PageBlob")) == BlobEvent(container, name, '"0x1"', "PageBlob")


@pytest.mark.parametrize(
    "url",
    [None, 7, "", "a", "https://x", "https://x/inbox", "https://x/inbox/", "http://[bad/c/b",
     "https://x/inbox/" + "n" * 1025, "https://x/inbox/half\ud800"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url):
    with pytest.raises(EventError):
        blob_event(event(url))


def test_a_handshake_without_a_code_is_refused():
    kind = "Microsoft.EventGrid.SubscriptionValidationEvent"
    for data in (None, {}, {"validationCode": 5}, "{", "[" * 100_000):
        with pytest.raises(EventError, match="validationCode"):
            validation_code([{"type": kind, "data": data}])
