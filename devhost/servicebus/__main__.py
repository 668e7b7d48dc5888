"""`python -m devhost.servicebus`: the local Service Bus as a process of its own, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Until the bus runs there is nothing to end, and a traceback out of an import helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

from devhost.errors import DevhostError
from devhost.servicebus.access import KEY
from devhost.servicebus.bus import ADMIN_PORT, AMQP_PORT, ServiceBus
from devhost.servicebus.config import Config, load_config
from devhost.servicebus.config_reader import ConfigError

_CANNOT_START = 1
_CANNOT_USE_CONFIG = 2
_EPILOG = """
When the bus can be used it prints one line of JSON: {"amqp": port, "admin": port, "connectionString": "..."}.
Exit codes: 0 after a signal, 1 when it cannot start (a port is taken, the database is another program's),
2 when the configuration or an argument cannot be used.
"""


def main() -> int:
    """Run the bus; returns the exit code."""
    given = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="servicebus: %(message)s", stream=sys.stderr)
    try:
        path = Path(given.config)
        config = load_config(path)
        for warning in config.warnings:
            logging.getLogger("devhost.servicebus").warning(warning)
        asyncio.run(_run(config, _database(given, path), given))
    except DevhostError as error:
        print(f"servicebus: {error.for_console()}", file=sys.stderr)
        return _CANNOT_USE_CONFIG if isinstance(error, ConfigError) else _CANNOT_START
    return 0


async def _run(config: Config, database: Path | None, given: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    bus = ServiceBus(
        config,
        database=database,
        address=given.address,
        port=given.port,
        admin_port=given.admin_port,
        key=given.key,
    )
    await bus.start()
    ready = {"amqp": bus.port, "admin": bus.admin_port, "connectionString": bus.connection_string}
    print(json.dumps(ready), flush=True)
    await stopping.wait()
    await bus.stop()


def _database(given: argparse.Namespace, config: Path) -> Path | None:
    if given.memory:
        return None
    return Path(given.database) if given.database else config.parent / ".devhost" / "servicebus.sqlite3"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devhost.servicebus",
        description="A local Azure Service Bus for development and tests: AMQP 1.0 for the azure-servicebus client, "
        "and the administration API over HTTP.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default="servicebus.json",
        help="the entities, in the configuration format of Microsoft's emulator (default %(default)s)",
    )
    parser.add_argument(
        "--address", metavar="IP", default="127.0.0.1", help="address to listen on (default %(default)s)"
    )
    parser.add_argument(
        "--port", type=_port, metavar="N", default=AMQP_PORT, help="AMQP port; 0: a free one (default %(default)s)"
    )
    parser.add_argument(
        "--admin-port",
        type=_port,
        metavar="N",
        default=ADMIN_PORT,
        help="port of the administration API and of GET /health; 0: a free one (default %(default)s)",
    )
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument(
        "--database",
        metavar="FILE",
        help="where entities and messages are kept (default .devhost/servicebus.sqlite3 beside the configuration)",
    )
    kept.add_argument("--memory", action="store_true", help="keep nothing when the bus ends")
    parser.add_argument("--key", default=KEY, help="the shared access key that clients must have (default %(default)s)")
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: choose a number from 1 to 65535, or 0 for a free one")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
