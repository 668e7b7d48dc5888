"""The guide to the modules of `jobs`, in its docstring."""

from __future__ import annotations

import re
from pathlib import Path

import jobs


def test_it_names_each_module_once():
    named = [name for part in re.findall(r": ([a-z_,\s]+)", jobs.__doc__) for name in re.split(r",?\s+", part) if name]
    there = [file.stem for file in Path(jobs.__file__).parent.glob("*.py") if not file.stem.startswith("__")]
    assert sorted(named) == sorted(there)
