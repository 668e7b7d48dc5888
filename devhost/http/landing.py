"""The page at `/`, which says that the host runs and what it serves."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from devhost.host import Host

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Your function app is running</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 4rem auto; padding: 0 1rem }}</style>
<h1>Your function app is running</h1>
<p>devhost serves {root}. Its functions:</p>
<ul>{functions}</ul>
<p>More: <a href="/admin/functions">/admin/functions</a>, <a href="/admin/host/status">/admin/host/status</a>.</p>
</html>
"""


def landing_page(host: Host) -> web.Response:
    """The page, or 204 when AzureWebJobsDisableHomepage is set."""
    if (host.settings.get("AzureWebJobsDisableHomepage") or "").lower() in ("1", "true"):
        return web.Response(status=204)
    lines = [
        f"<li><b>{html.escape(function.name)}</b> {html.escape(host.url_of(function) or function.trigger.type)}</li>"
        for function in host.functions.values()
    ]
    text = _PAGE.format(root=html.escape(str(host.script_root)), functions="".join(lines))
    return web.Response(text=text, content_type="text/html")
