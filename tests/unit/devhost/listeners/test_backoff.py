"""The pauses between polls."""

from __future__ import annotations

import random

from devhost.listeners.backoff import Backoff


def test_pauses_grow_from_a_tenth_of_a_second_to_the_longest():
    backoff = Backoff(2.0)
    pauses = [backoff.next() for _ in range(8)]
    assert pauses[0] == 0.1
    for exponent, pause in enumerate(pauses[1:5]):
        assert 0.1 + 0.08 * 2**exponent <= pause <= 0.1 + 0.12 * 2**exponent
    assert pauses[6:] == [2.0, 2.0]


def test_a_find_starts_again():
    backoff = Backoff(2.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.1


def test_a_night_of_empty_polls_does_not_overflow():
    backoff = Backoff(60.0)
    assert max(backoff.next() for _ in range(5000)) == 60.0


def test_a_longest_below_the_first_pause_is_kept():
    assert Backoff(0.05).next() == 0.05


def test_the_random_numbers_of_a_test_in_the_same_process_are_left_alone():
    before = random.getstate()
    backoff = Backoff(2.0)
    for _ in range(5):
        backoff.next()
    assert random.getstate() == before
