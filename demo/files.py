"""What the app makes of files: thumbnails, orders and bad rows, the report on the day; with copies to look at."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from demo.balance import Balance
from demo.imported import BAD, GOOD, Imported
from demo.outcomes import Case
from demo.shop import Shop

PATIENCE = 30


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One copy: where it is, in pixels, in bytes."""

    path: Path
    width: int
    height: int
    length: int


@dataclass(frozen=True, slots=True)
class Files:
    """What became of the files that were uploaded, and of the sales of the day."""

    thumbnails: tuple[Thumbnail, ...]
    counts: dict[str, int]
    """Rows of the imported file: `rows`, `accepted`, `bad`."""
    bad_rows: tuple[dict[str, str], ...]
    sold: int
    """How many imported orders are completed."""
    report: dict[str, Any] | None
    """The result of the sales report; None when it would mean nothing, since midnight came in between."""
    expected: tuple[int, int, int]
    """How many orders the report must have, their sum, and what of it was refunded, in minor units."""

    @property
    def import_is_right(self) -> bool:
        """Whether each good row became an order that was sold, and each bad one is reported."""
        return (self.counts["accepted"], self.sold, self.counts["bad"], len(self.bad_rows)) == (GOOD, GOOD, BAD, BAD)

    @property
    def report_is_right(self) -> bool:
        """Whether the report has every order that was sold, and every refund."""
        if self.report is None:
            return True
        sold, refunded, net = (self.report[name].get("EUR", 0) for name in ("totals", "refunds", "net"))
        return (self.report["orders"], sold, refunded) == self.expected and net == sold - refunded

    def differences(self) -> Iterator[str]:
        """What is not as it should be, one sentence each."""
        if len(self.thumbnails) != 6:
            yield f"6 thumbnails should have been made, but {len(self.thumbnails)} were"
        if not self.import_is_right:
            yield (
                f"{GOOD} rows should have become orders and {BAD} should be bad, but it is {self.counts}, {self.sold} "
                f"orders completed and {len(self.bad_rows)} lines reported"
            )
        if not self.report_is_right:
            yield f"the sales report should have (orders, cents, refunded) {self.expected}, but it has {self.report}"


def look(shop: Shop, cases: Sequence[Case], imported: Imported, began: date, balance: Balance, to: Path) -> Files:
    """Have the sales of the day reported, copy what the app made to the folder `to`, and say what was found."""
    results = {case.scenario.id: case.status.get("result") or {} for case in cases if case.scenario.is_upload}
    counts = results["I-1"]
    bad_rows = shop.download(counts["report"]["url"]).decode() if "report" in counts else ""
    report = shop.report_sales(began.isoformat(), PATIENCE).get("result") if date.today() == began else None
    for name in ("csv", "html") if report else ():
        (to / f"sales.{name}").write_bytes(shop.download(report[name]["url"]))
    orders, amount = balance.sold
    return Files(
        thumbnails=tuple(_copy(shop, file, to) for file in results["P-1"].get("thumbnails", ())),
        counts={name: counts.get(name, 0) for name in ("rows", "accepted", "bad")},
        bad_rows=tuple(csv.DictReader(io.StringIO(bad_rows))),
        sold=len(imported.orders),
        report=report,
        expected=(orders + len(imported.orders), amount + imported.total, balance.refunded),
    )


def _copy(shop: Shop, file: dict[str, Any], to: Path) -> Thumbnail:
    path = to / f"thumbnail-{file['size']}.{file['format']}"
    path.write_bytes(shop.download(file["url"]))
    return Thumbnail(path, file["width"], file["height"], file["bytes"])
