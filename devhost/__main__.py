"""`python -m devhost`."""

from __future__ import annotations

import sys
import time

BEGAN = time.perf_counter()

from devhost.cli import main  # noqa: E402 - the imports are most of the start, and "Host ready in" counts them

sys.exit(main(began=BEGAN))
