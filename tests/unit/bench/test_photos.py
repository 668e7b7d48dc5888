"""The table of photos says how many a second, whose CPU, and whether that is the aim."""

from __future__ import annotations

import io

from rich.console import Console

from bench.photos import Run, print_report


def lines_of(pool: list[Run], host: list[Run]) -> str:
    stream = io.StringIO()
    print_report({"process pool": pool, "devhost": host}, 60, 2400, Console(file=stream, width=120))
    return stream.getvalue()


def run(seconds: float, worker: float = 6.0, azurite: float = 3.0) -> Run:
    return Run(60, seconds, worker, azurite)


def test_photos_a_second_and_cpu_for_each() -> None:
    [line] = [line for line in lines_of([run(10)], [run(15)]).splitlines() if "devhost" in line]
    assert line.split() == ["devhost", "4.0", "0.67", "(≥0.6)", "100", "50"]


def test_a_missed_aim_is_marked() -> None:
    assert "0.50 (≥0.6 !!)" in lines_of([run(10)], [run(20)])


def test_the_ratio_is_that_of_rounds_and_not_of_medians() -> None:
    """A busy spell slows the two of one round alike."""
    assert "1.00 (≥0.6)" in lines_of([run(10), run(40), run(20)], [run(10), run(40), run(10)])
