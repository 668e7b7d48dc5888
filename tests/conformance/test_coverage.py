"""Each COVERAGE.md tells the truth: each test it names exists, and each conformance test has its row in one of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CONFORMANCE, UNIT = TESTS / "conformance", TESTS / "unit" / "devhost"
HOST = TESTS.parent / "devhost" / "COVERAGE.md"
BUS = TESTS.parent / "devhost" / "servicebus" / "COVERAGE.md"


def is_of_the_bus(path: Path) -> bool:
    """Whether a file of conformance tests is about the bus; the host's trigger and output are about the host."""
    return path.stem.startswith("test_service_bus_") and not re.search("_(trigger|output)", path.stem)


FILES = {
    HOST: [path for path in CONFORMANCE.glob("test_*.py") if path != Path(__file__) and not is_of_the_bus(path)],
    BUS: [path for path in CONFORMANCE.glob("test_*.py") if is_of_the_bus(path)],
}
pages = pytest.mark.parametrize("page", [HOST, BUS], ids=["host", "bus"])


def defined_in(files: Iterable[Path]) -> set[str]:
    return {
        node.name
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def named(page: Path) -> set[str]:
    return set(re.findall(r"\btest_\w+(?!\w*\.py)", page.read_text())) - {"test_coverage"}


@pages
def test_every_test_named_exists(page):
    assert named(page) - defined_in([*FILES[page], *UNIT.rglob("test_*.py")]) == set()


@pages
def test_every_conformance_test_has_its_row(page):
    assert defined_in(FILES[page]) - named(page) == set()


@pages
def test_every_row_is_shown_or_says_that_it_is_not_covered_yet(page):
    rows = [
        line
        for line in page.read_text().splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| behaviour"))
    ]
    assert rows
    assert [row for row in rows if "test_" not in row and "**not yet**" not in row] == []
