"""The operator's commands: `python -m jobs --help`."""

from __future__ import annotations

import sys

from jobs.commands.program import main

if __name__ == "__main__":
    sys.exit(main())
