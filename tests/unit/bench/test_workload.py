"""Quick but wrong does not count: every answer is checked, and a contestant is stopped whatever it did."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from bench.workload import GREETINGS, Workload, WrongResultError, measure

SMALL = Workload(concurrent_chains=3, single_chains=2, fan_outs=(2, 5), fan_out_repeats=2, warm_up_fan_out=1)


class Immediate:
    """A contestant whose answers are there at once."""

    name = "immediate"

    def __init__(self, wrong_at_width: int | None = None) -> None:
        self._wrong_at_width = wrong_at_width
        self.is_running = False

    def start(self) -> float:
        self.is_running = True
        return time.time()

    def run(self, orchestration: str, inputs: Sequence[int | None]) -> Sequence[list[str]]:
        if orchestration == "hello_chain":
            return [GREETINGS for _ in inputs]
        return [
            [f"Hello {n}!" for n in reversed(range(width))]
            if width == self._wrong_at_width
            else [f"Hello {n}!" for n in range(width)]
            for width in inputs
        ]

    def result(self, handle: list[str]) -> list[str]:
        return handle

    def memory_bytes(self) -> int:
        return 3 * 2**20

    def stop(self) -> None:
        self.is_running = False


def test_every_kind_of_work_is_measured() -> None:
    contestant = Immediate()
    measurement = measure(contestant, SMALL)
    assert measurement.contestant == "immediate"
    assert measurement.chains_per_second > 0
    assert len(measurement.single_chain_ms) == 2
    assert {width: len(times) for width, times in measurement.fan_out_ms.items()} == {"2": 2, "5": 2}
    assert measurement.memory_mb == 3
    assert not contestant.is_running


def test_a_wrong_answer_ends_the_run() -> None:
    contestant = Immediate(wrong_at_width=5)
    with pytest.raises(WrongResultError, match="immediate answered"):
        measure(contestant, SMALL)
    assert not contestant.is_running
