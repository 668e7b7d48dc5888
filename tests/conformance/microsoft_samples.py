"""Fetches Microsoft's own samples: pip can bring them, in the source distribution of azure-functions-durable."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"


def fetch() -> Path:
    """The root of the unpacked source distribution that matches the installed SDK; downloaded once.

    Raises subprocess.CalledProcessError when pip cannot reach its registry.
    """
    release = f"azure_functions_durable-{version('azure-functions-durable')}"
    root = CACHE / release
    if not root.is_dir():
        CACHE.mkdir(exist_ok=True)
        pinned = f"azure-functions-durable=={version('azure-functions-durable')}"
        options = ["--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, "--dest", str(CACHE), pinned], check=True)
        with tarfile.open(CACHE / f"{release}.tar.gz") as archive:
            archive.extractall(CACHE, filter="data")
    return root
