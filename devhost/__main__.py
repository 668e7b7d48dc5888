"""`python -m devhost`."""

from __future__ import annotations

import signal
import sys
import time

BEGAN = time.perf_counter()
# Until the host runs there is nothing to drain, and an import that hangs must not hold Ctrl-C up.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from devhost.cli import main  # noqa: E402 - the imports are most of the start, and "Host ready in" counts them

sys.exit(main(began=BEGAN))
