"""The command line: `python -m devhost start` and `check`, with func's flags, and `tick`, `history`, `replay`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from devhost import __version__, banner, logs
from devhost.app import DEFAULT_PORT
from devhost.errors import DevhostError
from devhost.extension_options import check_extension_options
from devhost.host import Host
from devhost.host_options import HostOptions
from devhost.local_settings import read_local_settings
from devhost.script_root import find_script_root
from devhost.services import endpoints

_log = logging.getLogger("devhost.cli")


def main(arguments: Sequence[str] | None = None, *, began: float | None = None) -> int:
    """Run one command; the result is the process's exit code. `began`: time.perf_counter() when the process did."""
    given = _parser().parse_args(arguments)
    given.began = time.perf_counter() if began is None else began
    try:
        return given.command(given)
    except DevhostError as error:
        print(f"\n{error.for_console()}", file=sys.stderr)
        return 1


def _start(given: argparse.Namespace) -> int:
    root = find_script_root(given.script_root, Path.cwd())
    print(banner.heading(), flush=True)
    code = asyncio.run(_run(Host(root, _options(given)), given.grace, given.began))
    sys.stdout.flush()
    # A sync function that outlived its grace sits in a thread that nothing can end; the process must not wait for it.
    os._exit(code) if code else None
    return code


def _check(given: argparse.Namespace) -> int:
    root = find_script_root(given.script_root, Path.cwd())
    host = Host(root, _options(given))
    try:
        host.read_settings()
        host.load()
        print(banner.function_list(host), flush=True)
        if host.errors:
            print(f"\n{banner.errors(host)}", file=sys.stderr)
            return 1
        endpoints(host)
        check_extension_options(host)
        if not host.functions:
            raise DevhostError("No job functions found.", "Register functions on the app in function_app.py.")
        return 0
    finally:
        host.close()


def _tick(given: argparse.Namespace) -> int:
    from devhost.tick import tick  # what it imports would only delay a host's start

    failure = tick(f"http://{given.address}:{given.port or _port()}", given.name, given.at, given.key)
    _say(f"{given.name}: {'Succeeded' if failure is None else f'Failed: {failure}'}")
    return 0 if failure is None else 1


def _history(given: argparse.Namespace) -> int:
    from devhost.histories import save

    if given.task_hub:
        hub = Path(given.task_hub)
    else:
        host = Host(find_script_root(given.script_root, Path.cwd()))
        host.read_settings()
        host.configure()
        hub = host.task_hub
    sys.stdout.write(save(hub, given.instance))
    return 0


def _replay(given: argparse.Namespace) -> int:
    from devhost.histories import replay

    host = Host(find_script_root(given.script_root, Path.cwd()))
    return 0 if replay(host, [Path(name) for name in given.histories], _say) else 1


def _port() -> int:
    """The port of the app around here, if there is one."""
    try:
        local = read_local_settings(find_script_root(None, Path.cwd()))
    except DevhostError:
        local = None
    return (local and local.port) or DEFAULT_PORT


async def _run(host: Host, grace: float, began: float) -> int:
    """Run until a signal: 0 when all work had ended in time, 1 when some was handed back."""
    _log_until_configured(host)
    await host.start()
    stopping = _Signals()
    print(banner.function_list(host))
    if host.errors:
        print(f"\n{banner.errors(host)}", file=sys.stderr)
    print(f"\n{banner.ready(host, time.perf_counter() - began)}\n", flush=True)
    await stopping.first()
    if host.outstanding:
        _say(f"Stopping: {host.outstanding} invocations are running; up to {grace:g} s for them to end.")
    drain = asyncio.ensure_future(host.stop(grace))
    hurry = asyncio.ensure_future(stopping.next())
    await asyncio.wait({drain, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if drain.done():
        hurry.cancel()
        if drain.result():
            _say("Stopped.")
            return 0
    _say(f"Stopped; {host.outstanding} invocations were cut off and will be taken up again.")
    return 1


class _Signals:
    """SIGTERM and SIGINT, counted."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[int] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived.put_nowait, number)

    async def first(self) -> None:
        """The signal to stop."""
        await self._arrived.get()

    next = first


def _log_until_configured(host: Host) -> None:
    """Log lines of the app's import need the console before host.json has been read; it is set up in two steps."""
    logs.install(logs.Levels({}, verbose=host.options.verbose), host.script_root)
    host.on_configured = lambda: logs.install(
        logs.Levels(host.json.log_levels, verbose=host.options.verbose), host.script_root
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _options(given: argparse.Namespace) -> HostOptions:
    return HostOptions(
        port=given.port,
        address=given.address,
        functions=given.functions,
        verbose=given.verbose,
        cors=given.cors,
        cors_credentials=True if given.cors_credentials else None,
        enable_auth=given.enable_auth,
        task_hub=str(Path(given.task_hub).absolute()) if given.task_hub else None,
    )


def _parser() -> argparse.ArgumentParser:
    description = "A local host for Azure Functions apps in Python."
    parser = argparse.ArgumentParser(prog="python -m devhost", description=description)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="start | check | tick | history | replay")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--script-root", "--prefix", metavar="DIR", help="the folder of the app (default: found upwards)"
    )
    common.add_argument("--functions", nargs="+", metavar="NAME", help="only these functions")
    common.add_argument("-p", "--port", type=int, help="port of the host (default 7071, or Host.LocalHttpPort)")
    common.add_argument("--verbose", action="store_true", help="show the host's own log too")
    common.set_defaults(address=None, cors=None, cors_credentials=False, enable_auth=False, task_hub=None, grace=30.0)
    start = commands.add_parser("start", parents=[common], help="run the app until Ctrl-C")
    start.add_argument("--address", metavar="IP", help="address to listen on (default 127.0.0.1)")
    start.add_argument("--cors", metavar="ORIGINS", help="allowed origins, separated by commas, or *")
    start.add_argument("--cors-credentials", action="store_true", help="allow credentials across origins")
    start.add_argument("--enable-auth", "--enableAuth", action="store_true", help="ask for function and admin keys")
    start.add_argument("--task-hub", metavar="FILE", help="the Durable task hub's file (default .devhost/HUB.sqlite3)")
    start.add_argument("--grace", type=float, metavar="SECONDS", help="time for running work to end (default 30)")
    start.set_defaults(command=_start)
    check = commands.add_parser("check", parents=[common], help="load the app, list its functions, name what is wrong")
    check.set_defaults(command=_check)
    once = commands.add_parser("tick", help="have a running host run a timer now, and wait for its end")
    once.add_argument("name", metavar="NAME", help="the timer's function")
    once.add_argument("--at", metavar="TIME", help="the occurrence to run it for, e.g. 2026-03-29T02:30:00+01:00")
    once.add_argument("-p", "--port", type=int, help="port of the host (default 7071, or Host.LocalHttpPort)")
    once.add_argument("--address", default="127.0.0.1", metavar="IP", help="where the host listens")
    once.add_argument("--key", help="the master key of a host with --enable-auth")
    once.set_defaults(command=_tick)
    history = commands.add_parser("history", help="print what a Durable instance did, as replay takes it")
    history.add_argument("instance", metavar="INSTANCE", help="the instance's id")
    history.add_argument(
        "--task-hub", metavar="FILE", help="the Durable task hub's file (default .devhost/HUB.sqlite3)"
    )
    history.set_defaults(command=_history)
    replay = commands.add_parser("replay", help="whether the app's orchestrators still do what saved histories say")
    replay.add_argument("histories", nargs="+", metavar="FILE|FOLDER", help="what history printed, or folders of such")
    replay.set_defaults(command=_replay)
    for command in (history, replay):
        command.add_argument("--script-root", "--prefix", metavar="DIR", help="the folder of the app")
    return parser
