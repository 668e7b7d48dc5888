"""The codec: what is written is read again, and no bytes do more than raise DecodeError."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devhost.servicebus.amqp.decoder import decode, decode_composite
from devhost.servicebus.amqp.encoder import composite, encode
from devhost.servicebus.amqp.errors import DecodeError
from devhost.servicebus.amqp.spans import list_spans, map_spans, skip
from devhost.servicebus.amqp.types import Array, Described, Int, Symbol, Timestamp, UByte, UInt, ULong, UShort

symbols = st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol)
longs = st.integers(-(2**63), 2**63 - 1)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    longs,
    st.integers(-(2**31), 2**31 - 1).map(Int),
    st.integers(0, 2**8 - 1).map(UByte),
    st.integers(0, 2**16 - 1).map(UShort),
    st.integers(0, 2**32 - 1).map(UInt),
    st.integers(0, 2**64 - 1).map(ULong),
    longs.map(Timestamp),
    st.floats(allow_nan=False),
    st.binary(max_size=300),
    st.text(max_size=300),
    symbols,
    st.uuids(),
    st.one_of(
        st.lists(symbols, max_size=4).map(lambda items: Array(Symbol, items)),
        st.lists(longs, max_size=300).map(lambda items: Array(int, items)),
        st.lists(longs.map(Timestamp), max_size=4).map(lambda items: Array(Timestamp, items)),
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.one_of(st.text(max_size=9), symbols, longs), inner, max_size=6),
        st.builds(Described, st.integers(0, 2**64 - 1).map(ULong), inner),
    ),
    max_leaves=40,
)


@given(values)
@settings(deadline=None)
def test_what_is_written_is_read_again(value):
    written = encode(value)
    assert decode(written) == (value, len(written))
    assert skip(written, 0) == len(written)


@given(values)
@settings(deadline=None)
def test_what_is_cut_off_is_refused(value):
    written = encode(value)
    with pytest.raises(DecodeError):
        decode(written[:-1])
    with pytest.raises(DecodeError):
        skip(written[:-1], 0)


@given(st.binary(max_size=60))
@settings(max_examples=500)
def test_no_bytes_raise_anything_else(data):
    for read in (decode, skip, decode_composite, map_spans, list_spans):
        try:
            read(data, 0)
        except DecodeError:
            continue


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "40"),
        (True, "41"),
        (0, "5500"),
        (-1, "55ff"),
        (128, "810000000000000080"),
        (Int(-2), "54fe"),
        (UInt(0), "43"),
        (UInt(255), "52ff"),
        (UInt(256), "7000000100"),
        (ULong(0), "44"),
        (ULong(7), "5307"),
        (UByte(4), "5004"),
        (Timestamp(1), "830000000000000001"),
        (Symbol("a"), "a30161"),
        ("é", "a102c3a9"),
        (b"\0", "a00100"),
        ([], "45"),
        ({}, "c10100"),
        ([None, True], "c003024041"),
        ({"a": None}, "c10502a1016140"),
        (UUID(int=1), "98" + "00" * 15 + "01"),
        (Array(Symbol, ["a"]), "e00701b30000000161"),
        (Described(ULong(0x24), []), "00532445"),
    ],
)
def test_the_encoding_is_that_of_the_standard(value, written):
    assert encode(value).hex() == written


@pytest.mark.parametrize(("size", "code"), [(255, 0xA1), (256, 0xB1)])
def test_the_long_form_begins_where_the_short_one_ends(size, code):
    assert encode("x" * size)[0] == code
    assert decode(encode(["x" * (size - 3)]))[0] == ["x" * (size - 3)]


def test_types_that_python_does_not_tell_apart_come_as_what_they_are():
    moment, name = decode(encode(Timestamp(5)))[0], decode(encode(Symbol("s")))[0]
    assert (type(moment), type(name)) == (Timestamp, Symbol)


@pytest.mark.parametrize("data", ["742260002a", "840000000000000001", "94" + "01" * 16])
def test_decimals_are_carried(data):
    data = bytes.fromhex(data)
    assert encode(decode(data)[0]) == data


@pytest.mark.parametrize(
    "data",
    [
        "c0030240",  # two items are announced, one is there
        "c1020140",  # an odd map
        "e00801b3ffffffff61",  # an item longer than its array
        "f000000005ffffffff40",  # four billion nulls
        "00",  # a descriptor without anything
        "ff",  # no such format code
        "a102c328",  # no UTF-8
        "a301ff",  # no ASCII
        "c1040245" + "40",  # a list as a key
        "7380000000",  # no character
        "00" * 80 + "40",
        "c0ff01" * 80,
    ],
)
def test_nonsense_is_refused(data):
    with pytest.raises(DecodeError):
        decode(bytes.fromhex(data))


def test_nesting_has_a_limit():
    data = encode([])
    for _ in range(100):
        data = composite(0x24, [data])
    with pytest.raises(DecodeError, match="deep"):
        decode(data)


def test_spans_are_what_is_to_be_copied():
    data = encode({"a": 1, "b": [2, 3]})
    assert [(key, decode(data, value)[0]) for key, _, value, _ in map_spans(data, 0)] == [("a", 1), ("b", [2, 3])]
    assert b"".join(data[start:end] for _, start, _, end in map_spans(data, 0)) == data[3:]
    data = encode([1, "x"] + [None] * 300)
    assert len(list_spans(data, 0)) == 302


@pytest.mark.parametrize("data", ["c000", "c100", "d000000000", "d100000000", "a100", "c10101", "c001" + "05"])
def test_compounds_without_a_count_have_no_spans(data):
    for read in (map_spans, list_spans):
        with pytest.raises(DecodeError):
            read(bytes.fromhex(data), 0)


def test_what_has_no_type_is_refused():
    with pytest.raises(TypeError, match="object"):
        encode(object())
