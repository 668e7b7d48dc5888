"""What is known of a parcel: the same whatever way its news came, and never less."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import parcels
from jobs.parcels import MOST_CHANGES, Change, Parcel, ParcelNotFoundError

STATES = ("announced", "collected", "in-transit", "out-for-delivery", "in-transit", "out-for-delivery", "delivered")
COURSE = [Change(number, state, f"2026-01-0{number}T00:00:00.000000Z") for number, state in enumerate(STATES, 1)]


@st.composite
def tellings(draw) -> list[list[Change]]:
    """What is told of a course: webhooks of one change each, look-ups of all so far; some lost, twice, or late."""
    webhooks = [[change] for change in COURSE]
    look_ups = [COURSE[:length] for length in range(1, len(COURSE) + 1)]
    told = draw(st.lists(st.sampled_from(webhooks + look_ups), max_size=12))
    return draw(st.permutations([*told, draw(st.sampled_from(webhooks[-1:] + look_ups[-1:]))]))


@given(tellings(), st.integers(0, len(COURSE)))
def test_webhooks_and_look_ups_agree_in_any_order(told, known_to_customer):
    parcel = Parcel("PX1", told=known_to_customer)
    mailed = []
    for news in told:
        before, parcel = parcel, parcel.heard(news)
        # Nothing is forgotten, and the state never goes back.
        assert set(before.changes) <= set(parcel.changes)
        assert parcel.newest.sequence >= (before.newest.sequence if before.newest else 0)
        for change in parcel.untold:
            mailed.append(change.sequence)
            parcel = Parcel(parcel.id, parcel.changes, change.sequence)
    heard = {change for news in told for change in news}
    assert parcel.changes == tuple(sorted(heard))
    assert (parcel.newest, parcel.is_over) == (COURSE[-1], True)
    # Each once, in the order of the course, and nothing that the customer knew or that newer mails have overtaken.
    assert mailed == sorted(set(mailed)) and all(number > known_to_customer for number in mailed)
    assert parcel.untold == ()
    if all(news == COURSE[: len(news)] for news in told):
        assert mailed == [change.sequence for change in COURSE[known_to_customer:]]


def test_of_a_parcel_that_never_rests_the_newest_changes_are_kept():
    changes = [Change(number, "in-transit", "2026-01-01T00:00:00.000000Z") for number in range(1, 301)]
    kept = Parcel("PX1").heard(changes).heard(changes[:1]).changes
    assert kept == tuple(changes[-MOST_CHANGES:])


def test_what_is_known_of_a_sequence_stays():
    other = Change(1, "returned", "2026-02-01T00:00:00.000000Z")
    assert Parcel("PX1").heard(COURSE[:1]).heard([other]).changes == tuple(COURSE[:1])


@pytest.fixture
def number(storage) -> str:
    return f"PX{uuid4().hex[:12]}"


@pytest.mark.anyio
async def test_a_parcel_that_nobody_watches_is_not_entered(number):
    with pytest.raises(ParcelNotFoundError):
        await parcels.hear(number, COURSE[0])
    assert await parcels.read(number) == Parcel(number)


@pytest.mark.anyio
async def test_whoever_is_quicker_nothing_is_lost(number):
    await parcels.look(Parcel(number), COURSE[:1], instance="shipment-1", wake="news.1")
    stale = await parcels.read(number)
    await asyncio.gather(
        *(parcels.hear(number, change) for change in COURSE[1:]),
        parcels.look(stale, COURSE[:3], instance="shipment-1", wake="news.2"),
        parcels.tell(number, 2),
        parcels.tell(number, 1),
    )
    found = await parcels.read(number)
    assert (found.changes, found.told, found.wake) == (tuple(COURSE), 2, "news.2")
    await parcels.tell(number, 1)
    assert await parcels.hear(number, COURSE[3]) == found
    assert await parcels.read(number) == found
