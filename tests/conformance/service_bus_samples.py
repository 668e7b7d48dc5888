"""Runs the public samples of azure-servicebus as they are, each in a process of its own, several at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.forked import Popen

_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: what it finds, what it prints, what it leaves."""

    stem: str
    """Its file's name without `_async` and `.py`."""
    prints: Mapping[str, int] = field(default_factory=dict)
    """Regular expressions, and how many lines begin like each."""
    finds: int = 0
    """Messages that wait in its queue and in its subscription."""
    leaves: Mapping[str, int] = field(default_factory=dict)
    """Messages afterwards in its `queue`, `sessions` and `topic`: what is not named has to be empty."""
    is_endless: bool = False
    """It waits for messages for ever: it is ended once it has printed all and left what it should."""
    editions: tuple[str, ...] = ("sync", "async")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a sample ended; the exit code is None if it had to be ended."""

    exit_code: int | None
    output: str

    def missing(self, sample: Sample) -> dict[str, tuple[int, int]]:
        """What it should have printed: for each expression how often it did, and how often it should have."""
        found = {line: len(re.findall(rf"^{line}", self.output, re.MULTILINE)) for line in sample.prints}
        return {line: (count, sample.prints[line]) for line, count in found.items() if count != sample.prints[line]}


def path_of(folder: Path, stem: str, edition: str) -> Path:
    """A sample's file in an unpacked source distribution."""
    suffix = "_async" if edition == "async" else ""
    return folder / "samples" / f"{edition}_samples" / f"{stem}{suffix}.py"


def run(sample: Sample, path: Path, environment: Mapping[str, str], left: Callable[[], Mapping[str, int]]) -> Ended:
    """Run it to its end; one that has none, until it has printed what it should, and left it too.

    After 90 s it is killed.
    """
    command = [sys.executable, "-u", path.name]
    start = subprocess.Popen if _reads_at_import(path, environment) else Popen
    output: list[str] = []
    process = start(
        command,
        cwd=path.parent,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    overdue = threading.Timer(_SECONDS, process.kill)
    overdue.start()
    try:
        for line in process.stdout:
            output.append(line)
            if sample.is_endless and not Ended(None, "".join(output)).missing(sample):
                while left() != sample.leaves and process.poll() is None:
                    time.sleep(0.05)
                process.terminate()
                break
        code = process.wait(_SECONDS)
        return Ended(None if sample.is_endless else code, "".join(output))
    finally:
        overdue.cancel()
        process.kill()
        process.stdout.close()


def _reads_at_import(path: Path, environment: Mapping[str, str]) -> bool:
    """Whether Python has to begin anew: to import the shim, or to have aiohttp read whom to trust."""
    return "PYTHONPATH" in environment or (
        path.stem.endswith("_async") and "servicebus.aio.management" in path.read_text()
    )
