"""The dashboard as one page: style and scripts are put into it, and only those, by their hashes, may be used there."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

PAGES = Path(__file__).parent / "pages"
SCRIPTS = ("dom", "api", "jobs", "job", "forms", "people", "clockwork")
"""The parts of the script, each of which may use those before it; `dashboard.js` comes last."""


@dataclass(frozen=True)
class Page:
    """The page, and the headers that it is to be sent with."""

    html: bytes
    version: str
    """Names what is in it."""
    headers: dict[str, str]


@lru_cache(maxsize=1)
def page() -> Page:
    """The page. It holds no data, so it is the same for everybody."""
    style = _read("dashboard.css")
    script = "".join(_read(name) for name in (*(f"dashboard.{part}.js" for part in SCRIPTS), "dashboard.js"))
    html = _read("dashboard.html").replace("{{style}}", style).replace("{{script}}", script).encode()
    version = sha256(html).hexdigest()[:32]
    headers = {
        "Content-Security-Policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src {_hash(script)}",
                f"style-src {_hash(style)}",
                "img-src data:",
                "connect-src 'self'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                # No text can become markup, even by mistake: the browser refuses.
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            )
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "ETag": f'"{version}"',
    }
    return Page(html, version, headers)


def _read(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
