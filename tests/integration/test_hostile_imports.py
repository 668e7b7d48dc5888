"""Files of orders that nobody should upload: each ends in a report or in a dead letter, and harms nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.bus_seen import Bus
from tests.integration.importing import HEADER, Imports, counts, row, table
from tests.integration.jobs_seen import fresh
from tests.orders import order

GOOD = json.dumps(order("hostile"))
USELESS = {
    "empty": (b"", "NoRows"),
    "utf16": (("\ufeff" + HEADER).encode("utf-16-le"), "NotText"),
    "zipped": (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00", "NotText"),
    "endless": (f"{HEADER}\n".encode() + b"x" * 300_000, "LineTooLong"),
    "quote": (f"{HEADER}\n".encode() + b'"' + b"a,b\n" * 50_000, "LineTooLong"),
    "headless": (row("c", "TEA").encode(), "HeaderInvalid"),
    "array": (f"[{GOOD}]".encode(), "HeaderInvalid"),
    "many": (b"{}\n" * 100_001, "TooManyRows"),
}
BAD_ROWS = {
    "deep": b'{"a":' * 9000,
    "formulas": table(['=cmd|"/C calc"!A0', "@SUM(1)", '"=1+1",,,,,,', "\u202e,,,,,,"]),
    "twins": b'{"card":"a","card":"b"}\n{"\\ud800":1}\n{"card":1e999}\n{"card":' + b"9" * 5000 + b"}",
    "unclosed": table([row("c", "TEA")[:-30] + '"']),
    "lone": HEADER.encode() + b"\n" + row("c", "TEA").encode() + b"\rx,y,z\r",
}


@pytest.fixture
def imports(open_shop, jobs_of) -> Iterator[Imports]:
    opened = Imports(jobs_of(open_shop(IMPORT_ORDERS_PER_SECOND="0.001")))
    yield opened
    opened.clear()


def test_each_ends_in_a_report_or_a_dead_letter(imports, bus: Bus):
    begun = {name: imports.begin(imports.upload(content, fresh(name))) for name, (content, _) in USELESS.items()}
    reported = {name: imports.begin(imports.upload(content, fresh(name))) for name, content in BAD_ROWS.items()}
    imports.shop.drain()
    for name, (_, type) in USELESS.items():
        status = imports.jobs.ended(begun[name], "order-import")
        assert (name, status["status"], status["error"]["type"]) == (name, "Failed", type)
        assert "result" not in status
    # Files that other tests of the session left behind may become dead letters of this host as well.
    reasons = {letter.properties.get("jobId"): letter.reason for letter in bus.dead()}
    assert {name: reasons.get(id) for name, id in begun.items()} == {name: type for name, (_, type) in USELESS.items()}
    assert not set(reported.values()) & set(reasons)
    for name, id in reported.items():
        status = imports.jobs.ended(id, "order-import")
        rows, accepted, _, bad = counts(status)
        assert (name, status["status"], accepted, bad) == (name, "Completed", 0, rows)
        report = imports.bad_rows(status)
        assert len({each["line"] for each in report}) == rows
        assert not [each for each in report if (each["field"] + each["reason"]).startswith(tuple("=+-@"))]
    assert imports.shop.failures == []


def test_a_file_that_was_replaced_before_its_turn(imports, bus: Bus):
    name = fresh("replaced")
    with imports.jobs.closed_doors():
        old = imports.upload(table([row("old", imports.jobs.sku)]), name)
        new = imports.upload(table([row("new", imports.jobs.sku)]), name)
    ids = [imports.begin(file) for file in (old, new)]
    imports.shop.drain()
    first, second = (imports.jobs.ended(id, "order-import") for id in ids)
    assert (first["status"], first["error"]["type"], second["status"]) == ("Failed", "BlobChanged", "Completed")
    reasons = [letter.reason for letter in bus.dead() if letter.properties.get("jobId") in ids]
    assert (counts(second), reasons) == ([1, 1, 0, 0], ["BlobChanged"])
