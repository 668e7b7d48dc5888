"""What every contestant is asked to do, and how it is timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

CITIES = ("Tokyo", "Seattle", "London")
GREETINGS = [f"Hello {city}!" for city in CITIES]


@dataclass(frozen=True, slots=True)
class Workload:
    """How much of each kind of work one run holds."""

    concurrent_chains: int = 200
    single_chains: int = 100
    fan_outs: tuple[int, ...] = (100, 1000)
    fan_out_repeats: int = 3
    warm_up_chains: int = 40
    warm_up_fan_out: int = 50


@dataclass(slots=True)
class Measurement:
    """One contestant's figures from one run.

    `startup_ms` is from the start of the process to the end of its first chain. `chains_per_second` is taken over the
    time from the first of the concurrent starts until the client knows that the last chain has ended; single chains and
    fan-outs likewise. `memory_mb` is the resident set (MiB) of the process that does the work, when all is done.
    """

    contestant: str
    startup_ms: float = 0.0
    chains_per_second: float = 0.0
    single_chain_ms: list[float] = field(default_factory=list)
    fan_out_ms: dict[str, list[float]] = field(default_factory=dict)
    memory_mb: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The figures as a JSON-able object."""
        return asdict(self)


class WrongResultError(Exception):
    """A contestant was quick, but its answer is not the workload's answer."""


class Contestant(Protocol):
    """Something that runs the orchestrations `hello_chain` (no input) and `fan_out` (input: the width)."""

    name: str

    def start(self) -> float:
        """Make ready for work; return the moment (`time.time()`) at which its process was started."""

    def run(self, orchestration: str, inputs: Sequence[int | None]) -> Sequence[Any]:
        """Start one instance for each input, all at once; return their handles when every one has ended."""

    def result(self, handle: Any) -> Any:
        """An ended instance's output."""

    def memory_bytes(self) -> int:
        """Resident set size of the process that does the work."""

    def stop(self) -> None:
        """End it; its state is thrown away."""


def measure(contestant: Contestant, workload: Workload) -> Measurement:
    """Run the workload on a contestant; every answer is checked, outside the timed stretches.

    Raises WrongResultError when an answer differs from the expected one.
    """
    measurement = Measurement(contestant.name)
    try:
        started_at = contestant.start()
        handles = contestant.run("hello_chain", [None])
        measurement.startup_ms = (time.time() - started_at) * 1000
        _check_chains(contestant, handles)

        contestant.run("hello_chain", [None] * workload.warm_up_chains)
        contestant.run("fan_out", [workload.warm_up_fan_out])

        seconds, handles = _timed(contestant, "hello_chain", [None] * workload.concurrent_chains)
        measurement.chains_per_second = workload.concurrent_chains / seconds
        _check_chains(contestant, handles)

        for _ in range(workload.single_chains):
            seconds, handles = _timed(contestant, "hello_chain", [None])
            measurement.single_chain_ms.append(seconds * 1000)
            _check_chains(contestant, handles)

        for width in workload.fan_outs * workload.fan_out_repeats:
            seconds, handles = _timed(contestant, "fan_out", [width])
            measurement.fan_out_ms.setdefault(str(width), []).append(seconds * 1000)
            _check(contestant, handles[0], [f"Hello {n}!" for n in range(width)])

        measurement.memory_mb = contestant.memory_bytes() / 2**20
    finally:
        contestant.stop()
    return measurement


def _timed(contestant: Contestant, orchestration: str, inputs: Sequence[int | None]) -> tuple[float, Sequence[Any]]:
    begin = time.perf_counter()
    handles = contestant.run(orchestration, inputs)
    return time.perf_counter() - begin, handles


def _check_chains(contestant: Contestant, handles: Sequence[Any]) -> None:
    for handle in handles:
        _check(contestant, handle, GREETINGS)


def _check(contestant: Contestant, handle: Any, expected: list[str]) -> None:
    actual = contestant.result(handle)
    if actual != expected:
        raise WrongResultError(f"{contestant.name} answered {str(actual)[:200]}, expected {str(expected)[:200]}")
