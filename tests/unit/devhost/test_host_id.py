"""The local host's id."""

from __future__ import annotations

from pathlib import Path

from devhost.host_id import local_host_id


def test_it_is_the_machine_and_a_hash_of_the_path():
    # 23*31+47('/') = 760; 760*31+97('a') = 23657
    assert local_host_id(Path("/a"), "My-Machine.local") == "mymachinelocal-23657"


def test_it_differs_by_path_and_stays_short():
    first, second = (local_host_id(Path(path), "m" * 50) for path in ("/home/one", "/home/two"))
    assert len(first) <= 32 and first == second == "m" * 32
    assert local_host_id(Path("/home/one"), "m") != local_host_id(Path("/home/two"), "m")


def test_the_hash_wraps_like_a_32_bit_number():
    identifier = local_host_id(Path("/home/a/very/long/path/to/an/app"), "m")
    assert 0 <= int(identifier.removeprefix("m-")) <= 2**31
