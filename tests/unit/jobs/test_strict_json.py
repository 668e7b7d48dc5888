"""Strict JSON: what Python would let through and others would not is refused, in words that help."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import strict_json
from jobs.errors import NotAJobError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_good_json_comes_back_as_it_was(value):
    assert strict_json.loads(json.dumps(value).encode()) == value


@given(values)
def test_canonical_text_means_the_same_and_has_one_spelling(value):
    text = strict_json.canonical(value)
    assert strict_json.loads(text) == value
    assert strict_json.canonical(strict_json.loads(text)) == text


@given(st.binary(max_size=300))
def test_bytes_are_json_or_refused(data):
    try:
        strict_json.loads(data)
    except NotAJobError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"", "not JSON"),
        (b'{"a": 1', "line 1"),
        (b"[" * 100_000, "nested"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"1e999", "too large"),
        (b"9" * 5000, "too many digits"),
        (b'{"a": 1, "a": 2}', "twice"),
        (rb'"\ud800"', "surrogate"),
        (rb'{"\udfff": 1}', "surrogate"),
    ],
)
def test_what_is_wrong_is_named(data, reason):
    with pytest.raises(NotAJobError, match=reason):
        strict_json.loads(data)


def test_a_byte_order_mark_does_no_harm():
    assert strict_json.loads(b"\xef\xbb\xbf{}") == {}
