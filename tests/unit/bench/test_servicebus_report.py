"""The Service Bus tables say how fast, whose CPU, and whether that is the aim."""

from __future__ import annotations

import io

from rich.console import Console

from bench.servicebus_report import Run, print_report


def lines_of(runs: dict[str, list[Run]], triggers: dict[str, list[float]] | None = None, ready_ms: float = 100) -> str:
    stream = io.StringIO()
    print_report(runs, triggers or {}, ready_ms, Console(file=stream, width=120))
    return stream.getvalue()


def row(text: str, title: str, number: int = 0) -> list[str]:
    """The cells of the title's row in its table: 0 the speeds, 1 the shares."""
    return [line.strip() for line in text.splitlines() if line.strip().startswith(title)][number][len(title) :].split()


def test_speed_and_cpu_for_each_message() -> None:
    text = lines_of({"single sends": [Run(messages=2000, seconds=1.0, client=0.8, server=0.2)]})
    assert row(text, "single sends") == ["2,000", "(≥1,750)", "0.400", "0.100", "0.25", "(≤0.33)"]


def test_missed_aims_are_marked() -> None:
    text = lines_of({"both together": [Run(messages=1200, seconds=1.0, client=0.5, server=0.25)]}, ready_ms=301)
    assert row(text, "both together")[:3] == ["1,200", "(≥1,300", "!!)"]
    assert "0.50 (≤0.33 !!)" in text
    assert "301 ms (≤300 !!)" in text


def test_figures_are_medians() -> None:
    runs = [Run(messages=1000, seconds=seconds, client=1.0, server=0.1) for seconds in (1.0, 2.0, 10.0)]
    assert row(lines_of({"sends in lists of 100": runs}), "sends in lists of 100")[0] == "500"


def test_where_the_time_goes() -> None:
    text = lines_of({"single sends": [Run(messages=10, seconds=1.0, client=0.6, server=0.15)]})
    assert row(text, "single sends", 1) == ["60%", "15%", "25%"]
    text = lines_of({"single sends": [Run(messages=10, seconds=1.0, client=0.95, server=0.3)]})
    assert row(text, "single sends", 1) == ["95%", "30%", "0%"]


def test_triggers_stand_beside_the_bare_loop() -> None:
    runs = {"single sends": [Run(messages=10, seconds=1.0, client=0.5, server=0.1)]}
    text = lines_of(runs, {"bare SDK": [1000.0, 1000.0], "devhost, def": [700.0, 900.0]})
    assert row(text, "bare SDK") == ["1,000", "1.00"]
    assert row(text, "devhost, def") == ["800", "0.80"]
