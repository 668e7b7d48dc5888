"""Child processes that never outlive their parent's `with` block, each stopped by its own id."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Thread
from types import FrameType, TracebackType
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
_FOLDER = "nightshift"
_chance = random.SystemRandom()  # which nobody seeds: two processes do not come to the same port


class StartError(Exception):
    """A process ended or kept silent where it should have become ready or done its work."""


class Process:
    """One child. Leaving the block sends SIGTERM, waits `grace` seconds, and only then kills.

    Its output goes into the file `log`, or without one to where the parent's goes, there with the `label` before each
    line. Its standard input stays open and empty as long as the parent lives: a child on the leash (demo.leash) ends
    even when the parent is killed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        grace: float = 35.0,
        label: str = "",
    ) -> None:
        self.name = name
        self._command = command
        self._env = {**os.environ, **(env or {})}
        self._log = log
        self._grace = grace
        self._label = label
        self._asked = False

    def __enter__(self) -> Process:
        piped = subprocess.PIPE if self._label else None
        if piped:
            self._env["PYTHONUNBUFFERED"] = "1"  # else what the app prints comes in blocks
        with self._log.open("wb") if self._log else nullcontext(piped) as output:
            self._popen = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                # A group of its own: Ctrl-C in the terminal reaches only the parent, which stops its children in order.
                process_group=0,
            )
        if piped:
            Thread(target=self._pass_on, args=(self._popen.stdout,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def output(self) -> str:
        """Everything written to the log so far."""
        return self._log.read_text(errors="replace") if self._log else ""

    def wait_until(self, is_ready: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for a condition of the running child. Raises StartError when it ends or `seconds` pass before."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if self._popen.poll() is not None:
                raise StartError(f"{self.name} ended with exit code {self._popen.returncode}{self._said()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} was not ready after {seconds:.0f} s{self._said()}")
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """Send the child a signal."""
        self._popen.send_signal(number)

    def wait(self) -> int:
        """Wait for the child to end by itself, and return its exit code."""
        code = self._popen.wait()
        self._popen.stdin.close()
        return code

    def ask_to_stop(self) -> None:
        """Send SIGTERM if it still runs, once: to a host a second one means that it must hurry."""
        if not self._asked:
            self._asked = True
            self._popen.terminate()

    def stop(self) -> int:
        """Stop the child if it still runs, and return its exit code."""
        if self._popen.poll() is None:
            self.ask_to_stop()
            try:
                self._popen.wait(self._grace)
            except subprocess.TimeoutExpired:
                self._popen.kill()
            except KeyboardInterrupt:
                # Asked a second time: no more patience, and nothing is left behind.
                self._popen.kill()
                raise
        return self.wait()

    def _pass_on(self, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                # In one piece, so that no line of another comes between.
                sys.stdout.write(f"{self._label}{line.decode(errors='replace')}")
                sys.stdout.flush()

    def _said(self) -> str:
        last = "\n".join(self.output.splitlines()[-30:])
        return f". It said:\n{last}" if last else "."


def on_leash(module: str, *arguments: str) -> list[str]:
    """The command `python -m module arguments` for a Process that must not outlive this one."""
    return [sys.executable, "-m", "demo.leash", module, *arguments]


def run_to_end(name: str, command: Sequence[str], env: Mapping[str, str]) -> str:
    """Run a short command and return what it printed. Raises StartError when it fails, with what it said."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise StartError(f"{name} ended with exit code {done.returncode}. It said:\n{done.stderr}")
    return done.stdout


def free_port() -> int:
    """A port that nothing listens on, and that no system gives out by itself: so it is still free after a restart."""
    while True:
        port = _chance.randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def forgotten_folder() -> Iterator[Path]:
    """A new temporary folder, deleted with the block. What a killed process left of such folders is deleted first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}-*-*"):
        owner = left.name.split("-")[1]
        if owner.isdecimal() and not _is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}-{os.getpid()}-") as folder:
        yield Path(folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def end_on_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP unwind the `with` blocks."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
