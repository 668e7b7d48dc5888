"""Small apps on disk, and a host that has loaded one without serving it."""

from __future__ import annotations

import contextlib
import json
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from devhost.host import Host
from devhost.host_options import HostOptions

HEAD = """
import logging
import azure.functions as func
import azure.durable_functions as df
"""
APP = HEAD + "app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
DURABLE_APP = HEAD + "app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
ECHO = """
import json

@app.route(route="echo/{id?}")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({
        "method": req.method, "url": req.url, "params": dict(req.params), "route": dict(req.route_params),
        "headers": dict(req.headers), "body": req.get_body().decode("latin-1"),
    }), mimetype="application/json")
"""
BUNDLE = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}


def write_app(
    folder: Path, source: str, *, head: str = APP, host: Mapping[str, Any] | None = None, **files: str
) -> Path:
    """An app in `folder`: `head` and `source` make function_app.py, `host` joins host.json, `files` stand beside."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "function_app.py").write_text(head + textwrap.dedent(source))
    (folder / "host.json").write_text(json.dumps({"version": "2.0", "extensionBundle": BUNDLE, **(host or {})}))
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return folder


@contextlib.contextmanager
def loaded(folder: Path, settings: Mapping[str, str] | None = None, **options: Any) -> Iterator[Host]:
    """The app of `folder`, loaded and indexed; nothing listens."""
    host = Host(folder, HostOptions(settings=settings or {}, **options))
    host.read_settings()
    try:
        host.load()
        yield host
    finally:
        host.close()


def serve(devhost_host, folder, source, *, settings=None, options=None, **given):
    """A running host of an app that has only what `source` says."""
    return devhost_host(write_app(folder, source, **given), settings=settings or {}, **(options or {}))


def until(condition, seconds=100.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


DURABLE_CLIENT = """
@app.route()
@app.durable_client_input(client_name="client")
async def begin(req, client): ...
"""
