"""SQL filters: what they take, in three-valued logic, and how a text outside the language is refused."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devhost.servicebus.amqp.types import Timestamp
from devhost.servicebus.errors import ArgumentError
from devhost.servicebus.filters import FilterError, SqlFilter
from tests.unit.devhost.servicebus.messages import message

SENT = message(
    {
        "n": 7,
        "f": 1.5,
        "s": "red",
        "Quoted": "it's",
        "yes": True,
        "no": False,
        "two words": 2,
        "größe": 3,
        "percent": "100%",
        "lines": "a\nb",
        "day": Timestamp(86_400_000),
        "in": "reserved",
    },
    message_id="m-1",
    subject="order",
    session_id="",
    content_type="text/plain",
)

TRUE = [
    # comparisons
    "n = 7", "n <> 8", "n != 8", "n > 6", "n >= 7", "n < 8", "n <= 7", "7 = n", "n = 7.0", "f < n",
    "s = 'red'", "s <> 'Red'", "s > 'blue'", "Quoted = 'it''s'", "yes = TRUE", "no = false", "yes <> no",
    # names
    "user.n = 7", "USER.N = 7", "S = 'red'", "[n] = 7", "[two words] = 2", '"two words" = 2', "user.[two words] = 2",
    "größe = 3", "[in] = 'reserved'", "EXISTS([two words])",
    # the message's own
    "sys.Label = 'order'", "sys.subject = 'order'", "SYS.MESSAGEID = 'm-1'", "sys.ContentType LIKE 'text/%'",
    "sys.SessionId = ''", "sys.To IS NULL", "NOT EXISTS(sys.ReplyTo)", "sys.EnqueuedTimeUtc IS NULL", "sys.Size > 10",
    # logic
    "n = 7 AND s = 'red'", "n = 8 OR s = 'red'", "NOT n = 8", "NOT NOT n = 7", "n = 8 OR n = 7 AND yes",
    "(n = 7 OR n = 8) AND yes", "yes", "NOT no", "TRUE", "1=1", "yes AND (TRUE)", "not n=8 and\n\tyes",
    # missing properties are unknown
    "missing IS NULL", "n IS NOT NULL", "NOT EXISTS(missing)", "missing = 1 OR yes", "NULL IS NULL",
    "NOT (missing = 1 AND no)", "missing + 1 IS NULL", "n IN (missing, 7)",
    # IN
    "n IN (5, 6, 7)", "s NOT IN ('blue', 'green')", "n in (f, 14 / 2)", "sys.Label IN ('order')",
    # LIKE
    "s LIKE 'r%'", "s LIKE '_e_'", "s LIKE '%'", "s NOT LIKE 'R%'", "s LIKE '%e%d'", "percent LIKE '100!%' ESCAPE '!'",
    "percent LIKE '%\\%' ESCAPE '\\'", "lines LIKE 'a%b'", "s LIKE s", "s NOT LIKE 're'", "'' LIKE '%%'",
    # arithmetic
    "n + 1 = 8", "n - 8 = -1", "n * 2 = 14", "n / 2 = 3", "-n / 2 = -3", "n % 4 = 3", "-n % 4 = -3", "n / 2.0 = 3.5",
    "1 + 2 * 3 = n", "(1 + 2) * 3 = 9", "+n = 7", "- -n = 7", "f * 2 = 3", "1.5 % 1 = 0.5", "1 / 0.0 > 1e300",
    "s + 'dish' = 'reddish'", "7 - 3 - 2 = 2",
    # literals
    "0xFF = 255", "0x0f=15", "1e2 = 100", "101.5E-1 = 10.15", "9223372036854775807 > n", ".5 = 0.5", "2. = 2",
    # functions
    "property('n') = 7", "p('S') = 'red'", "p('two' + ' words') = 2", "EXISTS(n) AND newid() IS NOT NULL",
]  # fmt: skip
FALSE_OR_UNKNOWN = [
    "n = 8", "s = 'Red'", "NOT yes", "FALSE", "n = 7 AND no",
    "missing = 1", "missing <> 1", "NOT missing = 1", "missing = missing", "missing AND yes", "NOT missing",
    "missing IN (1)", "missing NOT IN (1)", "n NOT IN (missing)", "missing LIKE '%'", "missing NOT LIKE 'x'",
    "s LIKE missing", "n = NULL", "n <> NULL", "missing IS NOT NULL", "EXISTS(missing)", "p(missing) = 7",
    # types that do not compare
    "n = '7'", "n <> '7'", "NOT n = '7'", "s > 3", "yes = 1", "yes > no", "n LIKE '7'", "n IN ('7')", "day = 86400000",
    "newid() = 'x'", "newid() < newid()",
    "s LIKE 'RED'", "lines LIKE 'a_'", "0.0 / 0 = 0.0 / 0",
]  # fmt: skip


@pytest.mark.parametrize("expression", TRUE)
def test_it_takes(expression):
    assert SqlFilter(expression).matches(SENT)


@pytest.mark.parametrize("expression", FALSE_OR_UNKNOWN)
def test_it_leaves(expression):
    assert not SqlFilter(expression).matches(SENT)


def test_parameters_are_values_given_beside_the_text():
    parameters = {"@size": 7, "colour": "red", "@Day": datetime(1970, 1, 2)}
    assert SqlFilter("n = @size AND s = @Colour AND day = @day", parameters).matches(SENT)
    assert not SqlFilter("n = @size", {"@size": timedelta(seconds=7)}).matches(SENT)
    assert SqlFilter("day > @then", {"@then": datetime(1970, 1, 1, tzinfo=UTC)}).matches(SENT)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "at its end: it is not complete"),
        ("   ", "at its end: it is not complete"),
        ("n = = 3", "at position 5, '= 3': this does not belong here"),
        ("n =", "at its end: it is not complete"),
        ("(n = 1", "at its end: it is not complete; .*'\\)' could stand here"),
        ("n = 1)", "at position 6, '\\)'"),
        ("n = 1 n", "at position 7, 'n': .*AND or OR"),
        ("n = 'x", "at position 5.* a quote is not closed"),
        ("n == 1", "at position 4"),
        ("n = 1;", "at position 6"),
        ("n && s", "at position 3"),
        ("in = 1", "at position 1.*keywords.*in \\[brackets\\]"),
        ("two words = 2", "at position 5"),
        ("_n = 1", "at position 1"),
        ("n IN ()", "at position 7"),
        ("n BETWEEN 1 AND 2", "at position 3"),
        ("sys.Colour = 'red'", "at position 1.* no system property Colour"),
        ("app.n = 7", "a property is sys.n or user.n"),
        ("n = @size", "at position 5.* no parameter @size"),
        ("now() > 3", "no such function"),
        ("newid(1) IS NULL", "no such function"),
        ("p() = 1", "no such function"),
        ("p('a', 'b') = 1", "no such function"),
        ("'red'", "at position 1.* a condition must stand here, not a value"),
        ("NULL", "a condition must stand here"),
        ("n + 1", "a condition must stand here"),
        ("n = 1 OR 'x'", "at position 10.* a condition must stand here"),
        ("(n = 1) = (s = 'red')", "a value must stand here"),
        ("99999999999999999999 = n", "does not fit into 64 bits"),
        ("n = 1 OR " * 200 + "n = 1", "1024 are the limit"),
    ],
)
def test_a_text_outside_the_language_is_refused_with_place_cause_and_remedy(expression, message):
    with pytest.raises(ArgumentError, match=message):
        SqlFilter(expression).check()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("n / 0 = 1", "division by zero"),
        ("n % 0 = 1", "division by zero"),
        ("9223372036854775807 + n > 0", "does not fit into 64 bits"),
        ("s - 1 = 0", "'-' does not go with 'red' and 1"),
        ("-s = 0", "does not go with"),
        ("s AND yes", "'red' is neither true nor false"),
        ("p(n) = 1", r"property\(\) needs a name, not 7"),
        ("s LIKE 'x' ESCAPE 'ab'", "ESCAPE needs a text of one character"),
        ("s LIKE 'x' ESCAPE 1", "ESCAPE needs a text of one character"),
    ],
)
def test_what_cannot_be_worked_out_for_a_message_is_an_error_of_that_message(expression, message):
    rule_filter = SqlFilter(expression)
    rule_filter.check()
    with pytest.raises(FilterError, match=message):
        rule_filter.matches(SENT)


def test_what_is_decided_needs_no_rest():
    assert not SqlFilter("no AND n / 0 = 1").matches(SENT)
    assert SqlFilter("yes OR n / 0 = 1").matches(SENT)


def test_a_pattern_with_many_wildcards_takes_no_time():
    assert not SqlFilter("s LIKE '" + "%a" * 60 + "b'").matches(message({"s": "a" * 5000}))


@pytest.mark.parametrize("expression", ["NOT " * 250 + "yes", "-" * 1000 + "1=1", "(" * 500 + "yes" + ")" * 500])
def test_deep_nesting_does_no_harm(expression):
    try:
        SqlFilter(expression).matches(SENT)
    except (ArgumentError, FilterError) as error:
        assert "nests too deep" in str(error)


TOKENS = [
    *("n", "s", "missing", "sys.Label", "[size]", "1", "0", "1.5", "'red'", "'%'", "TRUE", "NULL", "@p", "newid()"),
    *("AND", "OR", "NOT", "IS", "IN", "LIKE", "ESCAPE", "EXISTS", "(", ")", ",", "=", "<>", "<", ">=", "+", "-", "*"),
    *("/", "%", "p('n')"),
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(TOKENS), max_size=14).map(" ".join)))
def test_no_text_makes_it_crash(expression):
    try:
        taken = SqlFilter(expression, {"@p": 3}).matches(SENT)
    except (ArgumentError, FilterError):
        return
    assert taken in (True, False)


VALUES = st.sampled_from(["n", "s", "f", "missing", "1", "7", "2.5", "'red'", "'x'", "(n + 1)", "(missing * 2)"])
COMPARISONS = st.tuples(VALUES, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), VALUES).map(" ".join)
CONDITIONS = st.recursive(
    COMPARISONS | st.sampled_from(["yes", "no", "missing", "TRUE", "FALSE", "n IN (1, 7)", "s LIKE 'r%'"]),
    lambda inner: st.one_of(
        inner.map("NOT ({})".format),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) AND ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) OR ({pair[1]})"),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_de_morgan_holds_for_unknown_too(one, other):
    left, right = f"NOT (({one}) AND ({other}))", f"NOT ({one}) OR NOT ({other})"
    assert SqlFilter(left).matches(SENT) == SqlFilter(right).matches(SENT)
    # A condition, its contrary, and neither of them: exactly one is so.
    assert not (SqlFilter(one).matches(SENT) and SqlFilter(f"NOT ({one})").matches(SENT))


def test_the_parser_is_imported_only_for_sql():
    code = (
        "import sys\n"
        "from devhost.servicebus.config import load_config\n"
        "from pathlib import Path\n"
        "load_config(Path('servicebus.json'))\n"
        "print('lark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
