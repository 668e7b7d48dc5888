"""Every route constraint that ASP.NET has, at its edges."""

from __future__ import annotations

import pytest

from devhost.http.constraints import parse_constraint


@pytest.mark.parametrize(
    ("constraint", "admitted", "refused"),
    [
        ("int", ["0", "-1", "+5", "2147483647"], ["2147483648", "1.5", "x", "1e3", "٣"]),
        ("long", ["9223372036854775807", "-9223372036854775808"], ["9223372036854775808", "9" * 5000]),
        ("bool", ["true", "False", "TRUE"], ["1", "yes", ""]),
        ("datetime", ["2026-11-22", "2026-11-22T10:00:00Z", "11/22/2026"], ["22/11/2026", "tomorrow"]),
        ("decimal", ["1.5", "-2", "1,000.25", ".5"], ["1e3", "x", ""]),
        ("double", ["1.5", "1e3", "-2.5E-3"], ["x", "1.2.3"]),
        ("float", ["1.5", "1e3"], ["x"]),
        ("guid", ["12345678-1234-1234-1234-123456789abc", "12345678123412341234123456789ABC",
                  "{12345678-1234-1234-1234-123456789abc}"], ["12345678", "12345678-1234-1234-1234-123456789abg"]),
        ("length(3)", ["abc"], ["ab", "abcd"]),
        ("length(2,3)", ["ab", "abc"], ["a", "abcd"]),
        ("minlength(2)", ["ab", "abc"], ["a"]),
        ("maxlength(2)", ["a", "ab"], ["abc"]),
        ("min(18)", ["18", "99"], ["17", "x"]),
        ("max(18)", ["18", "-5"], ["19", "x"]),
        ("range(1,3)", ["1", "3"], ["0", "4", "x"]),
        ("alpha", ["abcXYZ"], ["a1", "é"]),
        ("regex(^a+$)", ["aa", "AA"], ["ab"]),
        ("required", ["x"], [""]),
        ("file", ["a.txt"], ["a", "a."]),
        ("nonfile", ["a"], ["a.txt"]),
    ],
)  # fmt: skip
def test_what_a_constraint_admits(constraint, admitted, refused):
    admits = parse_constraint(constraint)
    assert [value for value in admitted if not admits(value)] == []
    assert [value for value in refused if admits(value)] == []


@pytest.mark.parametrize("constraint", ["nonsense", "int(3)", "length", "length()", "range(1)", "regex([)", "min(1"])
def test_what_is_no_constraint(constraint):
    with pytest.raises(ValueError, match="route constraint"):
        parse_constraint(constraint)
