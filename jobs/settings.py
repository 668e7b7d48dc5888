"""The one place that reads app settings."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from jobs.errors import SettingMissingError

STORAGE = "AzureWebJobsStorage"
SERVICE_BUS = "AzureWebJobsServiceBus"
SHORTEST_AGE = 86_400.0
"""No job is forgotten sooner: its sender must have seen how it ended, and an import in progress is not old."""
LARGEST = 1e9
"""As a time it is thirty years; the calendar ends somewhere beyond."""
AMQP_PORT, AMQPS_PORT = 5672, 5671
HOST_JSON = Path(__file__).parent.parent / "host.json"
SERVICE_BUS_JSON = Path(__file__).parent.parent / "servicebus.json"


@dataclass(frozen=True)
class Settings:
    """App settings, typed. Times are seconds, sizes bytes."""

    storage_connection_string: str | None
    storage_urls: Mapping[str, str]
    payment_gateway_url: str | None
    smtp_host: str | None
    smtp_port: int
    mail_from: str | None
    max_dequeue_count: int
    service_bus_connection_string: str | None = None
    service_bus_namespace: str | None = None
    """The host name of a namespace that is reached with the app's identity."""
    dead_letter_alert_depth: int = 100
    """So many dead letters in one queue call for a person."""
    dead_letter_alert_age: float = 86_400.0
    """A dead letter that nobody has looked after for so long calls for a person."""
    queue_alert_depth: int = 5000
    """So many messages waiting in one queue call for a person."""
    queue_alert_age: float = 900.0
    """A message that has waited in its queue for so long calls for a person."""
    overdue_alert_margin: float = 600.0
    """A job that runs so much longer than its kind's deadline calls for a person."""
    stalled_alert_age: float = 1800.0
    """A job that could have begun so long ago, and has not, calls for a person."""
    alert_quiet_time: float = 300.0
    """For so long what an alert is about must be gone before it is cleared, since it may come and go."""
    alert_mail_to: str | None = None
    """Who gets alerts by mail; nobody unless set."""
    finished_job_age: float = 30 * 86_400.0
    """So long a job that is Completed or Cancelled is kept, with all that belongs to it."""
    failed_job_age: float = 90 * 86_400.0
    """So long a job that has Failed is kept."""
    sales_report_schedule: str = "0 0 2 * * *"
    """NCRONTAB, in the time zone of the process, like the two below."""
    retention_schedule: str = "0 30 3 * * *"
    watchdog_schedule: str = "0 * * * * *"
    gateway_timeout: float = 30.0
    smtp_timeout: float = 30.0
    result_url_lifetime: float = 900.0
    report_mail_to: str | None = None
    """Who gets a mail with a link to each sales report."""
    report_link_lifetime: float = 7 * 86_400.0
    """How long that link works, at most seven days (see `jobs.results`)."""
    nightshift_url: str = "http://localhost:7071"
    nightshift_key: str | None = None
    orders_at_once: int = 50
    """So many orders may begin at once in each instance of the app; what comes beyond them in a burst is spread."""
    orders_per_second: float = 10.0
    """So many of those begin in a second. Too many at once would leave urgent ones no room."""
    import_orders_per_second: float = 10.0
    """So many orders of one import are begun in a second, so that it leaves room for others."""
    import_rows_per_chunk: int = 500
    """So many rows of an import are taken in one step."""
    blob_trigger_source: str = "LogsAndContainerScan"
    """How the host learns of blobs: it looks into the containers itself, or with `EventGrid` is told. Flex Consumption
    has the latter only (functions-host.md §5)."""

    order_approval_limit: int = 100_000
    """An order whose total is above it, in minor units, needs a person's approval."""
    approvers: tuple[str, ...] = ()
    """Mail addresses of those who approve: the first is asked first, each next one when nobody has answered."""
    approval_reminder: float = 86_400.0
    """An approver who has not answered for so long is reminded, once."""
    approval_escalation: float = 3 * 86_400.0
    """So long each approver has; then the next is asked, and after the last one the default decides."""
    signing_key: str | None = None
    """By which the app knows its own approval links again: a long random text."""
    carrier_url: str | None = None
    """The carrier's API. Without it nobody is told of parcels, and no shipment is watched."""
    carrier_webhook_secret: str | None = None
    """By which the carrier signs its webhooks, `whsec_…`."""
    carrier_timeout: float = 30.0
    shipment_first_interval: float = 900.0
    """So long after a parcel's change the carrier is asked again; while nothing changes the interval grows."""
    shipment_longest_interval: float = 12 * 3600.0
    webhook_secret: str | None = None
    """By which the app signs the webhooks that it sends to callback URLs, `whsec_…`."""
    callback_allowed_hosts: tuple[str, ...] = ()
    """Hosts that may be called back although they are private, `host` or `host:port`, and without TLS."""
    callback_timeout: float = 15.0
    delivery_first_pause: float = 5.0
    """So long after its first failure an outcome is delivered again; the pauses grow."""
    delivery_longest_pause: float = 4 * 3600.0
    delivery_lifetime: float = 86_400.0
    """What could not be delivered for so long is dead-lettered."""

    def required(self, name: str) -> str:
        """The value of a setting that the caller cannot do without.

        Raises SettingMissingError, naming the app setting.
        """
        value = getattr(self, name)
        if value is None:
            raise SettingMissingError(
                f"the app setting {name.upper()} is missing: set it in local.settings.json (Values), "
                "or among the function app's settings in Azure"
            )
        return value

    def storage_url(self, service: str) -> str:
        """The URL of a storage service ("blob", "queue" or "table") that is reached with the app's identity.

        Raises SettingMissingError when no storage account is configured.
        """
        try:
            return self.storage_urls[service]
        except KeyError:
            raise SettingMissingError(
                f"no storage account is configured: set {STORAGE} to a connection string "
                f"(UseDevelopmentStorage=true for Azurite), or {STORAGE}__accountName to use the app's identity"
            ) from None

    @property
    def has_service_bus(self) -> bool:
        """Whether a Service Bus is configured."""
        return bool(self.service_bus_connection_string or self.service_bus_namespace)

    def service_bus_host(self) -> str:
        """The host name of the namespace that is reached with the app's identity.

        Raises SettingMissingError when no Service Bus is configured.
        """
        if self.service_bus_namespace is None:
            raise SettingMissingError(
                f"no Service Bus is configured: set {SERVICE_BUS} to a connection string (on your own machine the one "
                f"that `make run` prints), or {SERVICE_BUS}__fullyQualifiedNamespace to use the app's identity"
            )
        return self.service_bus_namespace

    def service_bus_address(self) -> tuple[str, int]:
        """Host and AMQP port of the Service Bus. Raises SettingMissingError."""
        if self.service_bus_connection_string is None:
            return self.service_bus_host(), AMQPS_PORT
        parts = dict(part.partition("=")[::2] for part in self.service_bus_connection_string.split(";"))
        # The flag takes TLS away (servicebus-amqp.md §1).
        is_emulator = parts.get("UseDevelopmentEmulator") == "true"
        try:
            endpoint = urlsplit(parts["Endpoint"])
            host, port = endpoint.hostname, endpoint.port or AMQP_PORT
        except (KeyError, ValueError):
            host = None
        if not host:
            raise SettingMissingError(f"{SERVICE_BUS} names no endpoint: set it to a namespace's connection string")
        return host, port if is_emulator else AMQPS_PORT


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once; `settings.cache_clear()` reads them again."""
    return read(os.environ)


def read(environ: Mapping[str, str]) -> Settings:
    """Settings from an environment; empty values count as not set.

    Raises SettingMissingError, naming the app setting, when a number is none or is too small.
    """

    def text(name: str) -> str | None:
        return environ.get(name) or None

    def several(name: str) -> tuple[str, ...]:
        return tuple(part for part in (text(name) or "").replace(",", " ").split())

    def number(name: str, *, least: float = 0.0) -> float:
        return _number(name, text(name), getattr(Settings, name.lower()), least)

    return Settings(
        storage_connection_string=text(STORAGE),
        storage_urls=_storage_urls(environ),
        payment_gateway_url=(text("PAYMENT_GATEWAY_URL") or "").rstrip("/") or None,
        smtp_host=text("SMTP_HOST"),
        smtp_port=int(text("SMTP_PORT") or 25),
        mail_from=text("MAIL_FROM"),
        max_dequeue_count=_max_dequeue_count(environ),
        service_bus_connection_string=text(SERVICE_BUS),
        service_bus_namespace=text(f"{SERVICE_BUS}__fullyQualifiedNamespace"),
        dead_letter_alert_depth=int(number("DEAD_LETTER_ALERT_DEPTH")),
        dead_letter_alert_age=number("DEAD_LETTER_ALERT_AGE"),
        queue_alert_depth=int(number("QUEUE_ALERT_DEPTH")),
        queue_alert_age=number("QUEUE_ALERT_AGE"),
        overdue_alert_margin=number("OVERDUE_ALERT_MARGIN"),
        stalled_alert_age=number("STALLED_ALERT_AGE"),
        alert_quiet_time=number("ALERT_QUIET_TIME"),
        alert_mail_to=text("ALERT_MAIL_TO"),
        finished_job_age=number("FINISHED_JOB_AGE", least=SHORTEST_AGE),
        failed_job_age=number("FAILED_JOB_AGE", least=SHORTEST_AGE),
        sales_report_schedule=text("SALES_REPORT_SCHEDULE") or Settings.sales_report_schedule,
        retention_schedule=text("RETENTION_SCHEDULE") or Settings.retention_schedule,
        watchdog_schedule=text("WATCHDOG_SCHEDULE") or Settings.watchdog_schedule,
        report_mail_to=text("REPORT_MAIL_TO"),
        report_link_lifetime=number("REPORT_LINK_LIFETIME"),
        nightshift_url=(text("NIGHTSHIFT_URL") or Settings.nightshift_url).rstrip("/"),
        nightshift_key=text("NIGHTSHIFT_KEY"),
        orders_at_once=int(number("ORDERS_AT_ONCE", least=1)),
        orders_per_second=number("ORDERS_PER_SECOND", least=0.001),
        import_orders_per_second=number("IMPORT_ORDERS_PER_SECOND"),
        import_rows_per_chunk=int(number("IMPORT_ROWS_PER_CHUNK", least=1)),
        blob_trigger_source=text("BLOB_TRIGGER_SOURCE") or Settings.blob_trigger_source,
        order_approval_limit=int(number("ORDER_APPROVAL_LIMIT")),
        approvers=several("APPROVERS"),
        approval_reminder=number("APPROVAL_REMINDER"),
        approval_escalation=number("APPROVAL_ESCALATION"),
        signing_key=text("SIGNING_KEY"),
        carrier_url=(text("CARRIER_URL") or "").rstrip("/") or None,
        carrier_webhook_secret=text("CARRIER_WEBHOOK_SECRET"),
        shipment_first_interval=number("SHIPMENT_FIRST_INTERVAL", least=0.1),
        shipment_longest_interval=number("SHIPMENT_LONGEST_INTERVAL", least=0.1),
        webhook_secret=text("WEBHOOK_SECRET"),
        callback_allowed_hosts=several("CALLBACK_ALLOWED_HOSTS"),
        callback_timeout=number("CALLBACK_TIMEOUT", least=0.1),
        delivery_first_pause=number("DELIVERY_FIRST_PAUSE", least=0.1),
        delivery_longest_pause=number("DELIVERY_LONGEST_PAUSE", least=0.1),
        delivery_lifetime=number("DELIVERY_LIFETIME"),
    )


def _number(name: str, given: str | None, otherwise: float, least: float) -> float:
    try:
        value = otherwise if given is None else float(given)
    except ValueError:
        value = math.nan
    if not least <= value < LARGEST:
        raise SettingMissingError(
            f"the app setting {name} must be a number from {least:.10g} to {LARGEST:.10g}: "
            f"leave it out for {otherwise:.10g}"
        )
    return value


@lru_cache
def max_delivery_count(queue: str) -> int:
    """How often Service Bus delivers a message of that queue before it dead-letters it.

    It is the entity's property, read from the file by which the entities are made (servicebus-amqp.md §11).
    Raises KeyError when the file has no such queue.
    """
    (namespace,) = json.loads(SERVICE_BUS_JSON.read_text())["UserConfig"]["Namespaces"]
    return {each["Name"]: each["Properties"]["MaxDeliveryCount"] for each in namespace["Queues"]}[queue]


def _storage_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """The services of an identity-based connection, named as Azure Functions names them (functions-host.md §1.4)."""
    urls = {}
    for service in ("blob", "queue", "table"):
        if url := environ.get(f"{STORAGE}__{service}ServiceUri"):
            urls[service] = url
        elif account := environ.get(f"{STORAGE}__accountName"):
            urls[service] = f"https://{account}.{service}.core.windows.net"
    return urls


def _max_dequeue_count(environ: Mapping[str, str]) -> int:
    """How often the host delivers a queue message before it moves it to the poison queue.

    It is the host's setting, read from where the host reads it (functions-host.md §1.6, §4).
    """
    override = environ.get("AzureFunctionsJobHost__extensions__queues__maxDequeueCount")
    if override:
        return int(override)
    queues = json.loads(HOST_JSON.read_text())["extensions"]["queues"]
    return queues["maxDequeueCount"]
