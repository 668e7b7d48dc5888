"""`python -m demo.leash MODULE ARGUMENTS`: runs the module as `python -m` does, and ends it with its standard input."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _watch() -> None:
    """The other end of the pipe is the parent's: the kernel closes it however the parent ends, even by SIGKILL."""
    # Not sys.stdin, whose lock a thread that still reads would hold when the interpreter ends.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_watch, name="leash", daemon=True).start()
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
