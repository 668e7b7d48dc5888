"""The table says how many times as good devhost is, and whether that is the aim."""

from __future__ import annotations

import io

from rich.console import Console

from bench.report import print_report
from bench.workload import Measurement


def run_of(contestant: str, *, chains: float, wide_ms: float = 500.0) -> list[Measurement]:
    times = {"100": [100.0], "1000": [wide_ms]}
    return [Measurement(contestant, 400.0, chains, [1000 / chains] * 4, times, 50.0)]


def lines_of(runs: dict[str, list[Measurement]]) -> dict[str, str]:
    """The table's rows by their first words."""
    stream = io.StringIO()
    print_report(runs, Console(file=stream, width=120))
    return {line[2:28].strip(): line[28:] for line in stream.getvalue().splitlines()}


def test_above_one_is_better_for_rates_and_times_alike() -> None:
    lines = lines_of({"floor": run_of("floor", chains=400), "devhost": run_of("devhost", chains=200, wide_ms=250)})
    assert "0.50" in lines["200 chains at once (1/s)"]
    assert "0.50" in lines["a chain alone, p50 (ms)"]
    assert "2.00" in lines["fan-out of 1,000 (ms)"]


def test_a_missed_aim_is_marked() -> None:
    lines = lines_of({"floor": run_of("floor", chains=400), "devhost": run_of("devhost", chains=300)})
    assert "0.75 (≥0.8 !!)" in lines["200 chains at once (1/s)"]
    lines = lines_of({"floor": run_of("floor", chains=400), "devhost": run_of("devhost", chains=320)})
    assert "0.80 (≥0.8)" in lines["200 chains at once (1/s)"]


def test_a_fan_out_that_grows_faster_than_its_width_is_marked() -> None:
    lines = lines_of({"devhost": run_of("devhost", chains=300, wide_ms=1300)})
    assert "13.0 (≤12 !!)" in lines["fan-out of 1,000 to 100"]


def test_peers_alone_have_no_ratios() -> None:
    lines = lines_of({"floor": run_of("floor", chains=400), "dbos": run_of("dbos", chains=50)})
    assert lines["200 chains at once (1/s)"].split() == ["400", "50"]
