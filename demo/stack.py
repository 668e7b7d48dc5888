"""Azurite, the bus, the sandbox and the app on the local host together; `python -m demo.stack` keeps them up."""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Until end_on_signals there is nothing to stop, and a traceback out of an import helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from demo.hosts import hosts, wait_for_all
from demo.processes import ROOT, Process, StartError, end_on_signals, forgotten_folder, free_port, on_leash, run_to_end
from devhost.azurite import Azurite, Ports
from devhost.errors import DevhostError

STANDARD_AZURITE = Ports(10000, 10001, 10002)
STANDARD_PORT = 7071
MOST_HOSTS = 9
STANDARD_SANDBOX = (7080, 7025)
STANDARD_BUS = (5672, 5300)

TO_TRY = """
[bold]The shop is open.[/] Try this in another terminal; Ctrl-C closes, and everything is forgotten.

[green]# an order over HTTP, and what becomes of it[/]
curl -i -H 'Idempotency-Key: A-1001' -d @samples/orders/A-1001.json {app}/api/jobs/order
curl {app}/api/jobs/order/A-1001

[green]# the gateway fails twice, and the order is sold all the same; this request waits for the end[/]
curl -d '{{"when": {{"operation": "charge"}}, "fault": "error", "times": 2}}' {sandbox}/faults
curl -H 'Idempotency-Key: A-1002' -H 'Prefer: wait=20' -d @samples/orders/A-1002.json {app}/api/jobs/order

[green]# the commands need to know where storage and the Service Bus are[/]
export AzureWebJobsStorage=UseDevelopmentStorage=true AzureWebJobsServiceBus='{bus}'

[green]# an order through the queue, one through the Service Bus, and what is no order: a dead letter at once[/]
{python} -m jobs send order samples/orders/A-1003.json --id A-2003
{python} -m jobs send order samples/orders/A-1004.json --id A-2004 --bus
{python} -m jobs send order samples/bad/order.json --id B-2001
{python} -m jobs list
{python} -m jobs dead-letters list

[green]# a photo becomes thumbnails, a file of orders becomes orders[/]
{python} -m jobs upload photos samples/photos/cat.png --wait
{python} -m jobs upload order-imports samples/imports/orders.csv --wait

[green]# money, mail, stock[/]
curl {sandbox}/payments/ledger
curl {sandbox}/mailbox
{python} -m jobs stock list
"""
SEVERAL = """
[green]# {count} hosts share the work, each with its port before its lines; links and the carrier lead to the first[/]
{hosts}

[green]# the gateway takes its time; kill the host that waits for it, and see the others end its orders[/]
curl -d '{{"when": {{"operation": "charge"}}, "fault": "slow", "delay": 3, "times": 6}}' {sandbox}/faults
for n in 1 2 3 4 5 6; do curl -s -o /dev/null -H "Idempotency-Key: K-$n" -d @samples/orders/A-1003.json \\
    http://127.0.0.1:{port}/api/jobs/order; done; kill -9 {pid}
{python} -m jobs list --kind order
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the world goes on, in seconds."""

    parcel: float = 15.0
    """Between two states of a parcel."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """How long the app waits, where that differs from what it does by default."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Where everything is, and the settings that the app runs with."""

    app: str
    sandbox: str
    settings: Mapping[str, str]
    hosts: Sequence[Process]

    @property
    def host(self) -> Process:
        """The first host, or the only one."""
        return self.hosts[0]

    @property
    def connection_string(self) -> str:
        """Of the storage account."""
        return self.settings["AzureWebJobsStorage"]

    @property
    def service_bus(self) -> str:
        """The connection string of the Service Bus."""
        return self.settings["AzureWebJobsServiceBus"]

    def jobs(self, *arguments: str) -> str:
        """Run an operator's command, `python -m jobs …`, and return what it prints. Raises StartError."""
        return run_to_end("python -m jobs", [sys.executable, "-m", "jobs", *arguments], self.settings)


@contextlib.contextmanager
def stack(
    *,
    azurite_ports: Ports | None = None,
    port: int | None = None,
    host_count: int = 1,
    sandbox_ports: tuple[int, int] = (0, 0),
    bus_ports: tuple[int, int] = (0, 0),
    logs: Path,
    host_log: Path | None,
    pace: Pace = Pace(),
) -> Iterator[Stack]:
    """Start all four, with the sample stock, on free ports unless told otherwise; stop them in the opposite order.

    Several hosts have `port` and those after it. `host_log` None lets them write where this process writes. Nothing is
    kept: storage and the Service Bus are in memory, and the task hub, which must not outlive them, in a folder that is
    deleted.
    Raises StartError, and devhost.errors.ServiceUnavailableError for Azurite.
    """
    port = port or free_port()
    app = f"http://127.0.0.1:{port}"
    with (
        forgotten_folder() as folder,
        Azurite(ports=azurite_ports, search_from=ROOT) as azurite,
        _sandbox(sandbox_ports, logs / "sandbox.log") as sandbox,
        _service_bus(bus_ports, logs / "service-bus.log") as bus,
    ):
        settings = {
            **_settings(azurite.connection_string, bus["connectionString"], sandbox),
            "NIGHTSHIFT_URL": app,
            **pace.settings,
        }
        with hosts(host_count, port, folder / "hub.sqlite3", settings, host_log) as started:
            running = Stack(app, sandbox["url"], settings, started)
            running.jobs("stock", "load", "samples/stock.json")
            _brief_carrier(running, pace)
            yield running


def _sandbox(ports: tuple[int, int], log: Path) -> contextlib.AbstractContextManager[dict[str, Any]]:
    """The sandbox as a process of its own, and its ready line."""
    command = on_leash("sandbox", "--port", str(ports[0]), "--smtp-port", str(ports[1]))
    return _server("the sandbox (python -m sandbox)", command, log)


def _service_bus(ports: tuple[int, int], log: Path) -> contextlib.AbstractContextManager[dict[str, Any]]:
    """The Service Bus as a process of its own, and its ready line."""
    command = on_leash("devhost.servicebus", "--config", str(ROOT / "servicebus.json"), "--memory")
    command += ["--port", str(ports[0]), "--admin-port", str(ports[1])]
    return _server("the Service Bus (python -m devhost.servicebus)", command, log)


@contextlib.contextmanager
def _server(name: str, command: list[str], log: Path) -> Iterator[dict[str, Any]]:
    """A process that says in one line of JSON that it is ready, and where."""
    with Process(name, command, log=log, grace=5.0) as process:
        process.wait_until(lambda: process.output.startswith("{") and process.output.endswith("\n"))
        yield json.loads(process.output)


def _settings(storage: str, service_bus: str, sandbox: Mapping[str, str]) -> dict[str, str]:
    """The sample's settings, with what is different here. In the environment they win over local.settings.json."""
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    return {
        **sample,
        "AzureWebJobsStorage": storage,
        "AzureWebJobsServiceBus": service_bus,
        "PAYMENT_GATEWAY_URL": sandbox["url"],
        "CARRIER_URL": sandbox["url"],
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": sandbox["smtp"].rpartition(":")[2],
    }


def _brief_carrier(running: Stack, pace: Pace) -> None:
    """Tell the sandbox's carrier how fast parcels travel, and where it shall call when one has come further."""
    webhook = {"url": f"{running.app}/api/webhooks/carrier", "secret": running.settings["CARRIER_WEBHOOK_SECRET"]}
    with httpx.Client(base_url=running.sandbox) as sandbox:
        sandbox.put("/carrier/webhook", json=webhook).raise_for_status()
        sandbox.put("/carrier/journey", json={"seconds": pace.parcel}).raise_for_status()


def main() -> int:
    """Keep the stack up on the standard ports until a signal. Exit code 0 when everything ended well, else 1."""
    given = _parser().parse_args()
    console = Console(highlight=False)
    logs = ROOT / ".cache" / "run"
    logs.mkdir(parents=True, exist_ok=True)
    end_on_signals()
    try:
        with stack(
            azurite_ports=STANDARD_AZURITE,
            port=STANDARD_PORT,
            host_count=given.hosts,
            sandbox_ports=STANDARD_SANDBOX,
            bus_ports=STANDARD_BUS,
            logs=logs,
            host_log=None,
        ) as running:
            console.print(_to_try(running), soft_wrap=True)
            return wait_for_all(
                running.hosts, lambda text: console.print(f"[bold red]{escape(text)}[/]", soft_wrap=True)
            )
    except KeyboardInterrupt:
        return 0
    except (StartError, DevhostError) as error:
        console.print(f"[bold red]Not started.[/] {escape(explain(error))}", soft_wrap=True)
        return 1


def _to_try(running: Stack) -> str:
    known = {"app": running.app, "sandbox": running.sandbox, "bus": running.service_bus, "python": _python()}
    text = TO_TRY.format(**known)
    if len(running.hosts) == 1:
        return text
    pids = {STANDARD_PORT + number: host.pid for number, host in enumerate(running.hosts)}
    port, pid = max(pids.items())
    listed = "\n".join(f"{each}: pid {pids[each]}" for each in pids)
    return text + SEVERAL.format(**known, count=len(pids), port=port, pid=pid, hosts=listed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.stack", description=__doc__)
    parser.add_argument(
        "--hosts", type=_count, metavar="N", default=1, help="how many hosts share the work (default 1)"
    )
    return parser


def _count(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MOST_HOSTS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hosts: choose one from 1 to {MOST_HOSTS}")
    return int(text)


def explain(error: Exception) -> str:
    """An error as a person reads it: what is wrong, and what to do about it."""
    return error.for_console() if isinstance(error, DevhostError) else str(error)


def _python() -> str:
    """This Python as a person would type it."""
    return os.path.relpath(sys.executable) if sys.prefix != sys.base_prefix else "python3"


if __name__ == "__main__":
    sys.exit(main())
