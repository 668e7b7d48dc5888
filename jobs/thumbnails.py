"""Thumbnails: where those of each version of a photo are."""

from __future__ import annotations

import re

from jobs import letters

PHOTOS, THUMBNAILS = "photos", "thumbnails"
MANIFEST = "manifest.json"
_VERSION = 16
"""Characters of the digest that names a version."""
_FILE = re.compile(rf"(.+)/[0-9a-f]{{{_VERSION}}}/({re.escape(MANIFEST)}|[0-9]+\.(webp|jpeg))", re.DOTALL)


def folder(name: str, etag: str) -> str:
    """Where the thumbnails of one version of a photo are.

    The whole name, so that cat.jpg and cat.png are two; the version, so that a page never shows thumbnails of two
    versions, and a job that is late overwrites nothing newer. The digest has no slash and always the same length, so
    photos of different names, be they `a` and `a/b`, have different folders.
    """
    return f"{name}/{letters.digest(etag)[:_VERSION]}/"


def photo_of(blob: str) -> str | None:
    """The name of the photo to which a blob of the container belongs; None for one that the app has not written."""
    found = _FILE.fullmatch(blob)
    return found[1] if found else None
