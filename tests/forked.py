"""Python commands in processes forked from a server that has imported the libraries already: most of a start is that.

Such a process is as real as any: it has an id and a group of its own, reads its program and the app anew, and dies of
SIGKILL. It takes a tenth of a second to start instead of one. What tests show about the command line itself, they show
with `subprocess`.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection, reduction
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import PIL

from demo.processes import ROOT, Process

# Nothing of the app's own: its modules may read settings when they are imported.
LIBRARIES = [
    "tests.forked",
    "devhost.cli",
    "devhost.bindings.durable_client",
    "devhost.durable.extension",
    "devhost.listeners.blob",
    "devhost.listeners.blob_triggers",
    "devhost.listeners.queue",
    "devhost.listeners.service_bus",
    "devhost.listeners.timer",
    "devhost.servicebus.admin_api",
    "devhost.servicebus.in_process",
    "devhost.servicebus.sqlite_store",
    "azure.data.tables.aio",
    "azure.durable_functions",
    "azure.functions",
    "azure.servicebus.aio",
    "azure.servicebus.management",
    "azure.storage.blob.aio",
    "azure.storage.queue.aio",
    "azurefunctions.extensions.bindings.blob",
    "aiosmtplib",
    "httpx",
    "itsdangerous",
    "pydantic.alias_generators",
    "pydantic.main",
    "pydantic.type_adapter",
    "pydantic.types",
    "standardwebhooks",
    "PIL.ImageCms",
    "PIL.ImageFile",
    "PIL.ImageOps",
    "PIL.ImageSequence",
    # A worker knows every format of pictures.
    *(f"PIL.{name}" for name in PIL._plugins),
    "tzdata.zoneinfo",
]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(LIBRARIES)
# multiprocessing looks after all its children whenever it starts one; two threads that do so lose an exit code.
_lock = threading.Lock()


class Popen:
    """What the tests use of subprocess.Popen, for `[sys.executable, "-m", module, …]` or `[…, "file.py", …]`.

    `stdin` is a file, or empty. `stdout` and `stderr` are a file, subprocess.PIPE (of text) or STDOUT, or as the
    parent's.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        stdin: IO[Any] | None = None,
        stdout: IO[Any] | int | None = None,
        stderr: IO[Any] | int | None = None,
        text: bool = True,
    ) -> None:
        assert command[0] == sys.executable and text, f"no Python command, or one of bytes: {command}"
        self.stdin = io.StringIO()
        self.stdout, out = _end(stdout, None)
        self.stderr, err = _end(stderr, out)
        ends = (stdin and _Descriptor(stdin.fileno()), out, err)
        arguments = (list(command[1:]), str(cwd), dict(os.environ if env is None else env), ends)
        self._process = _context.Process(target=_run, args=arguments, daemon=True)
        with _lock:
            self._process.start()
        for end, given in ((out, stdout), (err, stderr)):
            if given == subprocess.PIPE:
                os.close(end.number)

    def __enter__(self) -> Popen:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; the negative number of the signal that has ended it."""
        with _lock:
            return self._process.exitcode

    poll = returncode.fget

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        if not connection.wait([self._process.sentinel], timeout) and self.returncode is None:
            raise subprocess.TimeoutExpired("python", timeout)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(command: Sequence[str], *, env: Mapping[str, str], input: str = "") -> subprocess.CompletedProcess[str]:
    """What the tests use of subprocess.run: its output is captured."""
    with TemporaryFile("w+") as stdin, TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        stdin.write(input)
        stdin.seek(0)
        code = Popen(command, env=env, stdin=stdin, stdout=stdout, stderr=stderr).wait()
        for output in (stdout, stderr):
            output.seek(0)
        return subprocess.CompletedProcess(command, code, stdout.read(), stderr.read())


class ForkedProcess(Process):
    """A Process for a Python command."""

    def __enter__(self) -> Process:
        with self._log.open("wb") as output:
            self._popen = Popen(self._command, env=self._env, stdout=output, stderr=subprocess.STDOUT)
        return self


class _Descriptor:
    """A file descriptor that reaches the child under whatever number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.number),)


def _received(copy: Any) -> _Descriptor:
    return _Descriptor(copy.detach())


def _end(given: IO[Any] | int | None, output: _Descriptor | None) -> tuple[IO[str] | None, _Descriptor | None]:
    """What the parent reads, if anything, and where the child writes."""
    if given == subprocess.PIPE:
        reading, writing = os.pipe()
        return os.fdopen(reading), _Descriptor(writing)
    if given == subprocess.STDOUT:
        return None, output
    return None, given and _Descriptor(given.fileno())


def _run(arguments: list[str], cwd: str, env: dict[str, str], ends: Sequence[_Descriptor | None]) -> None:
    """The child: what Python does with its command line."""
    os.setpgid(0, 0)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for standard, end in enumerate(ends):
        if end:
            os.dup2(end.number, standard)
    for number in {end.number for end in ends if end}:
        os.close(number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process lives
    if arguments[0] == "-u":
        arguments.pop(0)
        sys.stdout.reconfigure(line_buffering=True)
    given = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[:] = [cwd, *given, *sys.path]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[:] = [os.path.dirname(os.path.abspath(arguments[0])), *given, *sys.path]
        runpy.run_path(arguments[0], run_name="__main__")
