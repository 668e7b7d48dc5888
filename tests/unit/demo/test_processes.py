"""Child processes end with their block, by their own id, whatever happens in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.processes import Process, StartError, forgotten_folder, run_to_end

SLEEPER = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_child_ends_with_its_block(log):
    with Process("sleeper", SLEEPER, log=log) as process:
        process.wait_until(lambda: process.output == "ready\n")
    assert process.stop() == -signal.SIGTERM


def test_a_child_ends_when_the_block_is_left_by_ctrl_c(log):
    with pytest.raises(KeyboardInterrupt), Process("sleeper", SLEEPER, log=log) as process:
        raise KeyboardInterrupt
    assert process.stop() == -signal.SIGTERM


def test_a_child_that_will_not_end_is_killed_after_its_grace(log):
    with Process("stubborn", STUBBORN, log=log, grace=0.1) as process:
        process.wait_until(lambda: process.output == "ready\n")
    assert process.stop() == -signal.SIGKILL


def test_a_child_that_ends_too_early_is_named_with_what_it_said(log):
    expected = pytest.raises(StartError, match="helper ended with exit code 3. It said:\nno luck")
    with Process("helper", [sys.executable, "-c", "print('no luck'); exit(3)"], log=log) as process, expected:
        process.wait_until(lambda: False)


def test_a_child_that_keeps_silent_is_named(log):
    expected = pytest.raises(StartError, match="sleeper was not ready after 0 s")
    with Process("sleeper", SLEEPER, log=log) as process, expected:
        process.wait_until(lambda: False, seconds=0.2)


def test_ctrl_c_of_the_terminal_does_not_reach_a_child(log):
    own_group = "import os; print(os.getpgrp() == os.getpid())"
    with Process("child", [sys.executable, "-c", own_group], log=log) as process:
        assert process.wait() == 0
    assert process.output == "True\n"


def test_a_command_that_fails_is_named_with_what_it_said():
    assert run_to_end("echo", [sys.executable, "-c", "print(1)"], {}) == "1\n"
    with pytest.raises(StartError, match="broken ended with exit code 1. It said:\nbecause"):
        run_to_end("broken", [sys.executable, "-c", "import sys; sys.exit('because')"], {})


def test_what_a_killed_process_left_is_deleted_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f"nightshift-{gone.pid}-left", f"nightshift-{os.getppid()}-used", "nightshift-other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hub.sqlite3").touch()
    with forgotten_folder() as folder:
        kept = {path.name for path in tmp_path.iterdir()} - {folder.name}
        assert kept == {f"nightshift-{os.getppid()}-used", "nightshift-other"}
        assert folder.name.startswith(f"nightshift-{os.getpid()}-")
    assert not folder.exists()
