"""docs/guidance.md and its neighbours tell the truth: no recommendation is missing, and what they name is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GUIDANCE = DOCS / "guidance.md"
PAGES = sorted(DOCS.glob("*.md"))
SOURCES = {"AAC", "PP", "RA", "TUT", "mission"}
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
FILE = re.compile(r"`([\w./]+\.(?:py|md|json)|\.\w+)`")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def tables() -> tuple[list[list[str]], list[list[str]]]:
    """The rows of the page's two tables, cell by cell: what is met, and what is left."""
    met, left = GUIDANCE.read_text().split("\n## Left\n")
    return rows(met), rows(left)


def rows(text: str) -> list[list[str]]:
    found = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in cells] for cells in found]


@cache
def defined_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_no_recommendation_is_missing_and_none_is_there_twice():
    met, left = tables()
    [count] = re.findall(r"There are (\d+)", GUIDANCE.read_text())
    assert sorted(int(row[0]) for row in met + left) == list(range(1, int(count) + 1))
    for table in (met, left):
        assert [int(row[0]) for row in table] == sorted(int(row[0]) for row in table)
    titles = [row[1] for row in met + left]
    assert len(set(titles)) == len(titles)


def test_what_is_met_names_files_and_tests_and_what_is_left_says_why():
    met, left = tables()
    for number, title, source, how, files, tests in met:
        assert title and how and set(source.split(", ")) <= SOURCES, number
        named = FILE.findall(files)
        assert named and all((ROOT / name).exists() for name in named), number
        assert TEST.findall(tests), number
        # Nothing but names: a test that is written otherwise would not be looked for.
        assert re.fullmatch(r"(`[^`]+`(, )?)+", files) and TEST.sub("", tests).strip(", ") == "", number
    for number, title, source, why in left:
        assert title and why and set(source.split(", ")) <= SOURCES, number


@pages
def test_every_test_named_is_there(page):
    for file, name in TEST.findall(page.read_text()):
        assert (ROOT / file).exists(), file
        assert name.startswith("test_") and name in defined_in(file), f"{file}::{name}"


@pages
def test_every_link_of_the_pages_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for name in FILE.findall(page.read_text()):
        assert (ROOT / name).exists(), name
