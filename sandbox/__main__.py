"""`python -m sandbox`: the outside world as a process of its own, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from sandbox.service import PortTakenError, serve
from sandbox.world import World


async def run(port: int, smtp_port: int) -> None:
    """Serve until told to stop; one line of JSON on stdout says when the doors are open and where."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(World(), port, smtp_port) as addresses:
        ready = {"sandbox": "ready", "url": addresses.url, "smtp": addresses.smtp_url}
        print(json.dumps(ready), flush=True)
        await stop.wait()


def main() -> int:
    """Exit code 0 after a signal, 1 when a port is taken."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=7080, help="HTTP port of payment gateway and carrier (0: a free one)"
    )
    parser.add_argument("--smtp-port", type=int, default=7025, help="SMTP port of the mailbox (0: a free one)")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments.port, arguments.smtp_port))
    except PortTakenError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
