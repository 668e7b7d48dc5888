"""A job whose id is in its input is one job, whoever asks for it, unless it is forced."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from jobs import clock, ids
from jobs.catalog import KINDS
from jobs.errors import InvalidInputError
from jobs.job import Envelope, parse
from jobs.job_message import read, with_id

DAY = "2026-11-21"


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    """It is half past midnight of the 22nd in Berlin, and still the 21st in UTC."""
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 21, 23, 30, tzinfo=UTC))
    monkeypatch.setattr(clock, "zone", lambda: ZoneInfo("Europe/Berlin"))


def report(id: str, *, day: str = DAY, **input) -> str:
    return parse(Envelope(kind="sales-report", id=id, input={"day": day, **input})).id


def from_queue(message_id: str, **fields) -> str:
    body = json.dumps({"kind": "sales-report", **fields}).encode()
    found = parse(read(body, message_id, None)).id
    # A copy of the message, put back into the queue, is the same job though it has another message id.
    assert parse(read(with_id(body, message_id), "another", None)).id == found
    return found


def test_a_report_has_the_id_of_its_day():
    assert report(DAY) == DAY
    assert from_queue("m-1", input={"day": DAY}) == from_queue("m-2", input={"day": DAY}) == DAY
    assert ids.missing({"kind": "sales-report", "input": {"day": DAY}}, "m-1") == DAY


def test_another_id_is_refused_with_the_remedy():
    for given in ("mine", "2026-11-20", f"{DAY}.mine"):
        with pytest.raises(InvalidInputError, match=f"{DAY}.*leave it out.*force") as caught:
            report(given)
        assert caught.value.fields[0]["field"] == "id"


def test_a_forced_report_is_one_more_each_time_but_the_same_when_its_message_comes_again():
    first = from_queue("m-1", input={"day": DAY, "force": True})
    assert first.removeprefix(f"{DAY}.") == first[-8:] != DAY
    assert from_queue("m-1", input={"day": DAY, "force": True}) == first
    assert from_queue("m-2", input={"day": DAY, "force": True}) != first


def test_a_forced_report_takes_the_key_it_is_given():
    assert report("again", force=True) == from_queue("m", id="again", input={"day": DAY, "force": True})
    assert report("again", force=True) == report(f"{DAY}.again", force=True) == f"{DAY}.again"
    assert report("x" * 69, force=True) == f"{DAY}.{'x' * 69}"
    with pytest.raises(InvalidInputError, match="69 characters"):
        report("x" * 70, force=True)


def test_only_what_can_be_reported_on():
    for day in ("2026-11-23", "9999-12-31"):
        for force in (False, True):
            with pytest.raises(InvalidInputError, match="day: the day is still to come"):
                report(day, day=day, force=force)
    with pytest.raises(InvalidInputError, match="force: the day is not over.*force a report"):
        report("2026-11-22", day="2026-11-22")
    assert report("now", day="2026-11-22", force=True) == "2026-11-22.now"
    assert report("2000-02-29", day="2000-02-29") == "2000-02-29"
    for day in ("2026-02-30", "21.11.2026", "0000-00-00", "2026-11-21\n"):
        with pytest.raises(InvalidInputError, match="day"):
            report(day.strip(), day=day)
    with pytest.raises(InvalidInputError, match="must be a day, year first"):
        report("wide", day="２０２６-11-21")


def test_other_kinds_have_the_id_they_are_given_or_the_message_has():
    for kind in ("order", "mail", "nonsense", None, 7, ["sales-report"]):
        assert ids.missing({"kind": kind, "input": {"day": DAY}}, "m-1") == "m-1"
    assert ids.missing({"kind": "sales-report", "input": {"day": "soon"}}, "m-1") == "m-1"
    assert ids.missing({"kind": "sales-report", "input": "soon"}, "m-1") == "m-1"
    assert [name for name, kind in KINDS.items() if kind.id_of] == ["sales-report", "shipment"]


def test_a_shipment_has_the_number_of_its_parcel():
    input = {"parcel": "PX1", "order": "A-1", "email": "ada@example.com"}
    assert ids.missing({"kind": "shipment", "input": input}, "m-1") == "PX1"
    with pytest.raises(InvalidInputError, match="id: is PX1 for this shipment job.*leave it out$"):
        parse(Envelope(kind="shipment", id="PX2", input=input))
