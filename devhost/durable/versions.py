"""Orchestration versioning: which instances this host takes (durable.md §7)."""

from __future__ import annotations

import re

from devhost.durable.options import DurableOptions

_NUMBERS = re.compile(r"\d+(\.\d+)*")


def is_match(version: str, options: DurableOptions) -> bool:
    """Whether an instance of this version may run here, by host.json's versionMatchStrategy."""
    if options.version_match == "strict":
        return _compare(version, options.default_version) == 0
    if options.version_match == "currentorolder":
        return _compare(version, options.default_version) <= 0
    return True


def mismatch_text(version: str, options: DurableOptions) -> str:
    """The failure of an instance whose version does not match."""
    return (
        f"VersionMismatch: the instance has version '{version}', but this host runs version "
        f"'{options.default_version}' with the strategy '{options.version_match}' (host.json, durableTask: "
        "defaultVersion, versionMatchStrategy)."
    )


def _compare(one: str, other: str) -> int:
    """Dotted numbers as numbers, other text without regard to case; an empty version is the lowest."""
    if _NUMBERS.fullmatch(one) and _NUMBERS.fullmatch(other):
        first, second = ([int(part) for part in version.split(".")] for version in (one, other))
        length = max(len(first), len(second))
        first += [0] * (length - len(first))
        second += [0] * (length - len(second))
        return (first > second) - (first < second)
    return (one.lower() > other.lower()) - (one.lower() < other.lower())
