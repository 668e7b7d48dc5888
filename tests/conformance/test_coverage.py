"""COVERAGE.md tells the truth: each test it names exists, and each conformance test has its row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "devhost" / "COVERAGE.md"


def defined_in(folder: Path) -> set[str]:
    return {
        node.name
        for path in folder.rglob("test_*.py")
        if path != Path(__file__)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def named() -> set[str]:
    return set(re.findall(r"\btest_\w+(?!\w*\.py)", PAGE.read_text())) - {"test_coverage"}


def test_every_test_named_exists():
    existing = defined_in(TESTS / "conformance") | defined_in(TESTS / "unit" / "devhost")
    assert named() - existing == set()


def test_every_conformance_test_has_its_row():
    assert defined_in(TESTS / "conformance") - named() == set()


def test_every_row_is_shown_or_says_that_it_is_not_covered_yet():
    rows = [
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| behaviour"))
    ]
    assert rows
    assert [row for row in rows if "test_" not in row and "**not yet**" not in row] == []
