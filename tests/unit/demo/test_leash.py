"""What runs on the leash ends with its parent, and is otherwise what it would be without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.processes import ROOT, Process, on_leash

CHILD = "import time; print('ready', flush=True); time.sleep(30); print('left behind')"
PARENT = """
from demo.processes import Process, on_leash
with Process("child", on_leash("child")) as process:
    process.wait()
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_child_does_not_outlive_a_killed_parent(modules):
    (modules / "child.py").write_text(CHILD)
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=ROOT, env=os.environ)
    with parent:
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        # Both write to this pipe, so it ends when both have.
        assert parent.stdout.read() == b""


def test_arguments_and_exit_code_are_the_modules(modules, tmp_path):
    (modules / "child.py").write_text("import sys; print(__name__, sys.argv[1:]); sys.exit(3)")
    with Process("child", on_leash("child", "start", "--port", "1"), log=tmp_path / "log") as process:
        assert process.wait() == 3
    assert process.output == "__main__ ['start', '--port', '1']\n"
