"""Fetches Microsoft's own samples: pip can bring them, in the source distributions of the SDKs."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"


def fetch(package: str, release: str | None = None) -> Path:
    """The root of the unpacked source distribution, by default of the installed release; downloaded once.

    Raises subprocess.CalledProcessError when pip cannot reach its registry.
    """
    release = release or version(package)
    if not (root := _unpacked(package, release)):
        CACHE.mkdir(exist_ok=True)
        options = ["--quiet", "--no-deps", "--no-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(CACHE), f"{package}=={release}"]
        subprocess.run(command, check=True)
        [archive] = CACHE.glob(f"{_pattern(package, release)}.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(CACHE, filter="data")
        root = _unpacked(package, release)
    return root


def _pattern(package: str, release: str) -> str:
    # Older source distributions write the package's name with hyphens, newer ones with underscores.
    return f"{package.replace('-', '[-_]')}-{release}"


def _unpacked(package: str, release: str) -> Path | None:
    return next((path for path in CACHE.glob(_pattern(package, release)) if path.is_dir()), None)
