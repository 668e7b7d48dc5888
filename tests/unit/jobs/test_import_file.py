"""Files of orders are cut into the same records however they stream by, and their chunks can be read alone."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs import import_file
from jobs.errors import PermanentError
from jobs.import_file import LONGEST_RECORD, Plan, Scanner, Splitter
from jobs.import_header import COLUMNS

HEADER = ",".join(COLUMNS).encode() + b"\r\n"


def scan(content: bytes, cuts: list[int] | None = None, rows_per_chunk: int = 500) -> Plan:
    """The plan of a file that streams by in pieces; `cuts`: where they end."""
    scanner = Scanner(rows_per_chunk)
    ends = [0, *sorted(min(cut, len(content)) for cut in cuts or []), len(content)]
    for start, end in zip(ends, ends[1:], strict=False):
        scanner.feed(content[start:end])
    return scanner.finish()


def rows(plan: Plan, content: bytes) -> list[tuple[int, bytes]]:
    """Line and bytes of every record, read chunk by chunk."""
    found = []
    for chunk in plan.chunks:
        records = import_file.records(plan, chunk, content[chunk.offset : chunk.offset + chunk.length])
        assert (len(records), records[0].line, len(found)) == (chunk.count, chunk.line, chunk.row)
        assert all(record.data == content[record.offset :][: len(record.data)] for record in records)
        found += [(record.line, record.data) for record in records]
    return found


CELLS = st.text(st.sampled_from('aé€😀",;\n\r\t ='), max_size=6)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=8)
CUTS = st.lists(st.integers(0, 400), max_size=12)


@settings(max_examples=150, deadline=None)
@given(TABLES, CUTS, st.integers(1, 4), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_csv_that_others_write_is_cut_where_they_end_rows(table, cuts, rows_per_chunk, line_end, has_mark):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(table)
    head = (b"\xef\xbb\xbf" if has_mark else b"") + HEADER
    content = head + text.getvalue().encode()
    plan = scan(content, cuts, rows_per_chunk)
    assert plan == scan(content, [], rows_per_chunk)
    read = [next(csv.reader([data.decode()], strict=True)) for _, data in rows(plan, content)]
    assert read == table
    lines = [line for line, _ in rows(plan, content)]
    assert lines == [2 + content[len(head) : offset].count(b"\n") for offset in offsets(plan, content)]


def offsets(plan: Plan, content: bytes) -> list[int]:
    splitter = Splitter(plan.table and plan.table.delimiter)
    body = plan.chunks[0].offset
    return [body + record.offset for part in (splitter.feed(content[body:]), splitter.finish()) for record in part]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), CUTS, st.sampled_from([b"", b"{}\n", HEADER]))
@example(b'"a""', [len(HEADER) + 3], HEADER)
def test_anything_is_cut_the_same_however_it_streams(content, cuts, begin):
    assert outcome(begin + content, cuts) == outcome(begin + content, [])


def outcome(content: bytes, cuts: list[int]) -> object:
    try:
        plan = scan(content, cuts, 2)
    except PermanentError as error:
        return error.type
    return plan, rows(plan, content)


def test_lines_are_counted_as_an_editor_counts_them():
    content = b"\n" + HEADER + b'a,"x\ny"\n\r\n  \n"b""\n",c\n\nlast'
    assert [line for line, _ in rows(scan(content), content)] == [3, 7, 10]


@pytest.mark.parametrize("cuts", [[], list(range(0, 300, 5))])
def test_rows_of_nothing_but_delimiters_are_none(cuts):
    """Excel writes them below the rows of a table."""
    head = HEADER.replace(b",", b";")
    content = head + b"; ;;\r\na;b\r\n;;;;;;\r\n;,\n;;;;;;\r\nc;\n" + b";;;;;;\r\n" * 20 + b";;\t;"
    plan = scan(content, cuts, 2)
    assert rows(plan, content) == [(3, b"a;b\r\n"), (5, b";,\n"), (7, b"c;\n")]
    assert len(rows(scan(b"{}\n,,\n;;\n"), b"{}\n,,\n;;\n")) == 3


def test_chunks_are_bounded_in_rows_and_bytes():
    content = HEADER + b"a\n" * 7
    assert [chunk.count for chunk in scan(content, rows_per_chunk=3).chunks] == [3, 3, 1]
    long = b"b" * (LONGEST_RECORD - 1) + b"\n"
    plan = scan(HEADER + long * 40)
    assert [chunk.count for chunk in plan.chunks] == [16, 16, 8]
    assert max(chunk.length for chunk in plan.chunks) == import_file.LARGEST_CHUNK


@pytest.mark.parametrize(
    ("content", "type", "words"),
    [
        (b"", "NoRows", "no row"),
        (HEADER + b"\n \r\n,,,,,,\r\n", "NoRows", "no row"),
        (b"caf\xe9,x\n", "NotText", "UTF-8"),
        (HEADER + b"\xe2\x82\xac\na\xff\n", "NotText", "line 3 is not UTF-8"),
        (HEADER + b"a\n\xe2\x82\n", "NotText", "line 3 is not UTF-8"),
        (HEADER + b"a\n\xe2\x82", "NotText", "line 3 is not UTF-8"),
        (HEADER + b"a\n\0\n", "NotText", "line 3 holds a NUL"),
        ("a,b\n".encode("utf-16"), "NotText", "UTF-8"),
        (HEADER + b"x" * LONGEST_RECORD, "LineTooLong", "line 2"),
        (HEADER + b'ok\n"' + b"x,\n" * LONGEST_RECORD, "LineTooLong", "line 3: a row may have 64 KiB"),
        (HEADER + b'"",' * LONGEST_RECORD, "LineTooLong", "line 2"),
        (b"x" * LONGEST_RECORD, "LineTooLong", "line 1"),
        (HEADER + b"a\n" * 100_001, "TooManyRows", "100,000"),
        (HEADER + b"\n" * 10_000_000 + b"a\n", "TooManyRows", "lines"),
        (b'[{"customer": 1}]', "HeaderInvalid", "JSON array"),
        (b'{\n "customer": 1\n}', "HeaderInvalid", "spread over lines"),
        (HEADER.replace(b"\r\n", b"\r") + b"a\r", "HeaderInvalid", "CR alone"),
        (HEADER.replace(b"card,", b"") + b"a\n", "HeaderInvalid", "lacks card"),
        (b"Marzipan," + HEADER, "HeaderInvalid", "in place 1:"),
        (b"card," + HEADER, "HeaderInvalid", "twice"),
        (b'"card' + HEADER, "HeaderInvalid", "quotes"),
        (HEADER.replace(b",", b"\t") + b"a\n", "HeaderInvalid", "tabs between"),
        (b"sep=;\r\n" + HEADER.replace(b",", b";") + b"a\n", "HeaderInvalid", "for Excel alone"),
    ],
)
def test_what_makes_a_whole_file_useless(content, type, words):
    with pytest.raises(PermanentError) as caught:
        scan(content, list(range(0, 200, 7)))
    assert caught.value.type == type
    assert words in str(caught.value) and "Marzipan" not in str(caught.value)


def test_the_header_may_be_in_any_order_and_case():
    plan = scan(b'"ITEMS"; Card;currency;customerid;name;email;address\nx\n')
    assert plan.table.delimiter == ";" and plan.table.columns[:4] == ["items", "card", "currency", "customerId"]
