"""Rows that were ordered before, matched with the orders by content: each order stands for one row."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.import_earlier import Earlier, Was
from jobs.import_file import Chunk


def matched(orders: str, rows: str, *, chunk: int = 2) -> list[list[Was]]:
    """What is found when every letter is an order or a row, whose line is its place; a blank is none."""
    earlier = Earlier()
    for line, content in enumerate(orders, 1):
        if content != " ":
            earlier.know(line, bytes.fromhex(f"{ord(content):04x}"), is_pending=content.isupper())
    earlier.see((line, f"{ord(content):04x}") for line, content in enumerate(rows, 1) if content != " ")
    return earlier.by_chunk([Chunk(0, 0, line, 0, chunk) for line in range(1, len(rows) + 1, chunk)])


@pytest.mark.parametrize(
    ("orders", "rows", "moved", "more"),
    [
        ("abc", "abc", {}, {}),
        ("abc", "bc", {1: 2, 2: 3}, {}),
        ("abc", "xabc", {2: 1, 3: 2, 4: 3}, {}),
        ("ab", "ba", {1: 2, 2: 1}, {}),
        ("a  b", "a b", {3: 4}, {}),
        ("aab", "baa", {1: 3, 3: 1}, {}),
        # The row that has not moved keeps its order, also with a copy above it.
        ("xab", "aabax", {5: 1}, {1: 2, 4: 2}),
        ("", "aa", {}, {}),
    ],
)
def test_rows_that_have_moved(orders, rows, moved, more):
    found = [was for part in matched(orders, rows) for was in part]
    assert {was.line: was.before for was in found if not was.is_more} == moved
    assert {was.line: was.before for was in found if was.is_more} == more


def test_each_chunk_has_its_own_and_says_what_has_not_begun():
    assert matched("aBc", " aB  c") == [
        [Was(2, 1, False, False)],
        [Was(3, 2, False, True)],
        [Was(6, 3, False, False)],
    ]
    assert matched("aBc", "aBxxx") == [[], [], []]


def test_a_line_of_which_only_that_it_was_ordered_is_known_counts_as_ordered():
    """Also when what is on it is ordered as another line, which has its own row."""
    earlier = Earlier()
    earlier.know(1, None, is_gone=True)
    earlier.know(2, b"\1", is_gone=True)
    earlier.know(4, b"\2", is_gone=True)
    earlier.see([(1, "01"), (2, "01"), (3, "01"), (4, "03")])
    assert earlier.by_chunk([Chunk(0, 0, 1, 0, 4)]) == [
        [Was(1, 1, False, False), Was(2, 2, False, False), Was(3, 2, True, False), Was(4, 4, False, False, True)]
    ]


TEXTS = st.text("abc ", max_size=12)


@given(TEXTS, TEXTS, st.integers(1, 5))
def test_no_order_stands_for_two_rows_and_no_row_is_forgotten(orders, rows, chunk):
    found = [was for part in matched(orders, rows, chunk=chunk) for was in part]
    at = dict(enumerate(orders, 1))
    assert all(at[was.before] == rows[was.line - 1] for was in found)
    assert not Counter(was.before for was in found if not was.is_more).keys() & {
        line for line, content in enumerate(rows, 1) if at.get(line) == content
    }
    for content in "abc":
        mine = [was for was in found if rows[was.line - 1] == content]
        unmoved = sum(at.get(line) == content for line, each in enumerate(rows, 1) if each == content)
        number = unmoved + sum(not was.is_more for was in mine)
        assert number == min(orders.count(content), rows.count(content))
        assert len(mine) == (rows.count(content) - unmoved if content in orders else 0)
