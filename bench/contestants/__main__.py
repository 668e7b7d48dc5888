"""Measures one contestant in this process, prints one JSON line: `python -m bench.contestants floor`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

from bench.workload import Workload, measure

MODULES = {
    "floor": "bench.contestants.floor",
    "devhost": "bench.contestants.devhost_process",
    "durabletask": "bench.contestants.durabletask_memory",
    "dbos": "bench.contestants.dbos_sqlite",
}


def main() -> None:
    """Import only the contestant asked for, so that start-up time and memory are its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.contestants", description=__doc__)
    parser.add_argument("contestant", choices=MODULES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        contestant = importlib.import_module(MODULES[arguments.contestant]).create(Path(directory))
        measurement = measure(contestant, Workload())
    sys.stdout.write(json.dumps(measurement.as_dict()) + "\n")
    sys.stdout.flush()
    # The peers leave threads behind that a normal exit would wait for.
    os._exit(0)


if __name__ == "__main__":
    main()
