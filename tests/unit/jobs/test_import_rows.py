"""Rows of files of orders: read as orders, or said what is wrong with them, without any of their values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import import_rows
from jobs.errors import InvalidInputError, NotAJobError, PermanentError
from jobs.import_rows import Fault, id_of
from jobs.job import Job
from tests.orders import order
from tests.unit.jobs.test_import_file import HEADER, import_file, scan

GOOD = 'c1,"Ada ""B"" Byron", c1@example.com ,"1 Street\nTown",tok_visa,EUR,TEA:2; MUG:1'


def read(content: bytes) -> list[Job | list[Fault]]:
    """What becomes of every row of a file."""
    plan, found = scan(content), []
    for chunk in plan.chunks:
        for record in import_file.records(plan, chunk, content[chunk.offset :][: chunk.length]):
            try:
                found.append(import_rows.read(plan, record, "0" * 16, "correlation", "blob:order-imports/x"))
            except (InvalidInputError, NotAJobError) as error:
                found.append(list(import_rows.faults(plan, record.line, error)))
    return found


def test_a_row_of_csv():
    (job,) = read(HEADER + GOOD.encode())
    assert (job.id, job.correlation_id, job.source) == (id_of("0" * 16, 2), "correlation", "blob:order-imports/x")
    assert job.input.model_dump(by_alias=True) == {
        "customer": {"id": "c1", "name": 'Ada "B" Byron', "email": "c1@example.com", "address": "1 Street Town"},
        "card": "tok_visa",
        "currency": "EUR",
        "lines": [{"sku": "TEA", "quantity": 2}, {"sku": "MUG", "quantity": 1}],
    }


def test_a_line_of_json():
    (job,) = read(json.dumps(order("ada")).encode())
    assert (job.id, job.input.customer.id) == (id_of("0" * 16, 1), "ada")


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        (GOOD.replace("c1@", "@"), [("email", "must be")]),
        (GOOD.replace("Byron", "\x1b"), [("name", "must be")]),
        ("a,b", [("", "the row has 2 fields, and the header 7")]),
        ('a,"b"c,d', [("", "quotes must enclose a whole field")]),
        ("a,b\rc,d", [("", "quotes must enclose a whole field")]),
        ('a,"b,c', [("", "a quote is not closed")]),
        ("c,N,c@e.com,A,tok_visa,EUR,TEA", [("items", "must be SKU:quantity")]),
        ("c,N,c@e.com,A,tok_visa,EUR,TEA:٣", [("items", "must be SKU:quantity")]),
        ("c,N,c@e.com,A,tok_visa,EUR,TEA:0", [("items", "must be at least 1")]),
        ("c,N,c@e.com,A,tok_visa,EUR,TEA:1;TEA:1", [("", "lines must name each sku once")]),
        ("c,N,c@e.com,A,tok_visa,EUR,", [("items", "must not be empty")]),
        ("=c,N,c@e.com,A,tok_visa,EUR,T:1", [("customerId", "must be")]),
        (",,,.,,,", [(name, "") for name in ("customerId", "name", "email", "card", "currency")]),
    ],
)
def test_a_bad_row_of_csv(row, faults):
    (found,) = read(HEADER + row.encode())
    for fault, (field, reason) in zip(found, faults, strict=True):
        assert (fault.line, fault.field) == (2, field)
        assert fault.reason.startswith(reason), fault


@pytest.mark.parametrize(
    "line",
    [
        '{"customer": 1, "customer": 2}',
        '{"a":' * 9000 + "1" + "}" * 9000,
        '{"card": 1e999}',
        '{"card": ' + "9" * 9000 + "}",
        '{"card": NaN}',
        '{"card": "\\ud800"}',
        '{"Marzipan Crescent": 1}',
        "Marzipan",
        '"Marzipan"',
        "{}}",
    ],
)
def test_a_bad_line_of_json(line):
    first, (fault, *_) = read(f"{json.dumps(order('ada'))}\n{line}".encode())
    assert isinstance(first, Job)
    assert fault.line == 2 and "Marzipan" not in fault.field + fault.reason


def test_rows_that_a_quote_takes_along_are_named():
    good = HEADER.decode().split("\n")[0]
    content = f'{good}\na,b,c\na,"b\na,b\na,"b\n{GOOD}\na,"b,\nx",c\n'
    reasons = {faults[0].line: faults[0].reason for faults in read(content.encode()) if isinstance(faults, list)}
    quotes = "quotes must enclose a whole field, and a CR stands only before an LF"
    assert reasons == {
        2: "the row has 3 fields, and the header 7",
        3: f"{quotes}; lines 3 to 5 were taken for it: is a quote not closed?",
        8: "the row has 3 fields, and the header 7; lines 8 to 9 were taken for it: is a quote not closed?",
    }


def test_fields_of_another_type_are_told_in_words():
    text = json.dumps(order("ada") | {"card": 1, "customer": [], "lines": {}})
    (faults,) = read(text.encode())
    assert {(fault.field, fault.reason) for fault in faults} == {
        ("card", "must be a text, in quotes"),
        ("customer", "must be an object"),
        ("lines", "must be a list"),
    }


def test_where_a_line_of_json_goes_wrong():
    (_, (fault,)) = read(f'{json.dumps(order("ada"))}\n{{"card" 1}}\n'.encode())
    assert fault == Fault(2, "", "the text is not JSON: Expecting ':' delimiter at column 9")


VALUES = st.sampled_from(
    ["Marzipan", "=1+Marzipan", "@Marzipan", "\u202eMarzipan", "Mar\u2028zipan", "Marzipan\r", "tok_Marzipan", "-1", ""]
) | st.text(max_size=5).map(lambda text: f"{text}Marzipan")
CELLS = st.one_of(
    VALUES,
    VALUES.map(lambda text: '"' + text.replace('"', '""') + '"'),
    VALUES.map(lambda text: f'"{text}'),
    VALUES.map(lambda text: f'{text}"'),
    st.sampled_from(["c1", "a@example.com", "EUR", "TEA:1", "TEA:99999999999999999999", "x" * 70_000, "\0", "\ufeff"]),
)
CSV = st.lists(st.lists(CELLS, min_size=6, max_size=8).map(",".join) | st.just(GOOD), min_size=1, max_size=12)
KEYS = st.sampled_from(["customer", "card", "lines", "sku", "=a b"])
JSON = st.recursive(
    VALUES | st.integers() | st.floats() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
).map(lambda value: json.dumps(value, ensure_ascii=False))
LINES = st.lists(
    JSON | st.sampled_from(["{" * 3000, '{"a":1,"a":2}', "{" + '"x"' * 30_000, json.dumps(order("ada"))]),
    min_size=1,
    max_size=12,
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\u2028", "\x0b"])


@settings(max_examples=140, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.tuples(st.just(HEADER.decode()), CSV, ENDS),
        st.tuples(st.sampled_from(["", "\ufeff", "{}\n"]), LINES, ENDS),
    )
)
def test_a_hostile_file_ends_in_orders_and_reports_or_in_one_error(file):
    content = file if isinstance(file, bytes) else (file[0] + file[2].join(file[1])).encode("utf-8", "surrogatepass")
    try:
        found = read(content)
    except PermanentError as error:
        assert "Marzipan" not in str(error)
        return
    assert found
    for each in found:
        if isinstance(each, Job):
            assert each.input.lines
        else:
            assert 1 <= len(each) <= import_rows.MOST_FAULTS
            assert not [fault for fault in each if "Marzipan" in fault.field + fault.reason]
