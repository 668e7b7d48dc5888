"""The files of the measurement hold the bad rows they should, and the table says whether its aims are met."""

from __future__ import annotations

import io

from rich.console import Console

from bench.order_import import Run, make_file, print_report
from jobs import import_file, import_rows
from jobs.errors import InvalidInputError, NotAJobError


def test_a_file_has_its_share_of_bad_rows_and_no_other():
    file = make_file(2000, "bench")
    scanner = import_file.Scanner(500)
    scanner.feed(file.content)
    plan, bad, good = scanner.finish(), set(), set()
    for chunk in plan.chunks:
        data = file.content[chunk.offset :][: chunk.length]
        for record in import_file.records(plan, chunk, data):
            try:
                good.add(import_rows.read(plan, record, "identity", "c", "s").id.removeprefix("identity-"))
            except (InvalidInputError, NotAJobError):
                bad.add(record.line)
    assert (bad, len(bad), plan.rows) == (file.bad, 14, 2000)
    assert {id.partition("-")[2] for id in file.good} == good


def test_aims_met_and_missed():
    def run(rows: int, seconds: float, peak: int) -> Run:
        return Run(rows, 7, seconds, cpu=1.0, floor=0.5, idle=50_000_000, peak=peak, events=36, instances=9)

    stream = io.StringIO()
    print_report([run(1000, 1.0, 60_000_000), run(2000, 3.2, 400_000_000)], Console(file=stream, width=120))
    first, second = (line.split() for line in stream.getvalue().splitlines() if line.strip()[:2] in ("1,", "2,"))
    assert first == ["1,000", "7", "1.0", "1.00", "0.50", "1.00", "10", "(<300)", "36", "(9)", "(<1,000)"]
    assert second[3:8] == ["1.60,", "1.60x", "(≤1.5", "!!)", "0.25"] and "(<300" in second
