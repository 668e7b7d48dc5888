"""The page to which the links of approvals lead: HTML that needs nothing else, runs nothing, and may be seen by nobody
but its reader.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.approval_votes import LONGEST_REASON
from jobs.approvals import Approval

if TYPE_CHECKING:
    from jinja2 import Template

PAGES = Path(__file__).parent / "pages"


def render(approval: Approval) -> str:
    """The question with its buttons, or how it was decided. Whatever is in it is text."""
    title = "Your approval is wanted" if approval.is_open else f"{approval.state.capitalize()}"
    return _template().render(
        style=_style(),
        title=title,
        note=None if approval.is_open else f"It was {approval.in_words()}.",
        approval=approval,
        opened_at=_shown(approval.opened_at),
        ends_at=_shown(approval.rounds[approval.round].ends_at if approval.rounds else approval.expires_at),
        longest_reason=LONGEST_REASON,
    )


def render_problem(title: str, detail: str) -> str:
    """Why the link cannot be used, or the vote does not count."""
    note = detail[:1].upper() + detail[1:].rstrip(".") + "."
    return _template().render(style=_style(), title=title, note=note, approval=None)


@lru_cache(maxsize=1)
def headers() -> dict[str, str]:
    """What keeps the page from being kept, framed, indexed or told of, and from doing anything but to send its form."""
    style = b64encode(sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
    }


def _shown(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


@lru_cache(maxsize=1)
def _style() -> str:
    return (PAGES / "approval.css").read_text()


@lru_cache(maxsize=1)
def _template() -> Template:
    # Imported here because it takes time, and most processes make no page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template("approval.html")
