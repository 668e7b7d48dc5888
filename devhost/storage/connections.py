"""Reads a storage connection string into the account's endpoints and credentials."""

from __future__ import annotations

from dataclasses import dataclass

from azure.core.utils import parse_connection_string

from devhost.storage.errors import InvalidConnectionError

# Azurite's account: name and key are published by Microsoft, the same on every machine, and open nothing else.
DEVELOPMENT_ACCOUNT = "devstoreaccount1"
DEVELOPMENT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
DEVELOPMENT_PORTS = {"blob": 10000, "queue": 10001, "table": 10002}


@dataclass(frozen=True, slots=True)
class Account:
    """One storage account; endpoints are URLs without a trailing slash, "" for a service the string leaves out."""

    name: str
    key: str
    """The account key, or "" if the connection carries a shared access signature."""
    sas: str
    """The shared access signature as a query string without "?", or ""."""
    blob_endpoint: str
    queue_endpoint: str
    table_endpoint: str

    @property
    def connection_string(self) -> str:
        """The account for the Azure SDKs, every endpoint spelt out."""
        credential = f"AccountKey={self.key}" if self.key else f"SharedAccessSignature={self.sas}"
        services = (("Blob", self.blob_endpoint), ("Queue", self.queue_endpoint), ("Table", self.table_endpoint))
        endpoints = ";".join(f"{service}Endpoint={url}" for service, url in services if url)
        name = f"AccountName={self.name};" if self.name else ""
        return f"{name}{credential};{endpoints}"


def development_connection_string(blob: int, queue: int, table: int, address: str = "127.0.0.1") -> str:
    """The connection string of an Azurite that listens on these ports."""
    ports = {"Blob": blob, "Queue": queue, "Table": table}
    endpoints = "".join(f"{s}Endpoint=http://{address}:{port}/{DEVELOPMENT_ACCOUNT};" for s, port in ports.items())
    return f"DefaultEndpointsProtocol=http;AccountName={DEVELOPMENT_ACCOUNT};AccountKey={DEVELOPMENT_KEY};{endpoints}"


def parse_account(connection_string: str) -> Account:
    """The account behind a connection string; `UseDevelopmentStorage=true` is Azurite on its own ports.

    Raises InvalidConnectionError.
    """
    try:
        parts = parse_connection_string(connection_string)
    except ValueError as error:
        raise _invalid(f"it does not read as key=value pairs ({error})") from error
    if parts.get("usedevelopmentstorage", "").lower() == "true":
        return parse_account(development_connection_string(**DEVELOPMENT_PORTS))
    name, key = parts.get("accountname", ""), parts.get("accountkey", "")
    sas = parts.get("sharedaccesssignature", "").lstrip("?")
    if not (name and key) and not sas:
        raise _invalid("it has neither AccountName with AccountKey nor SharedAccessSignature")
    endpoints = {service: _endpoint(service, name, parts) for service in DEVELOPMENT_PORTS}
    return Account(name, key, sas, endpoints["blob"], endpoints["queue"], endpoints["table"])


def _endpoint(service: str, name: str, parts: dict[str, str]) -> str:
    explicit = parts.get(f"{service}endpoint", "").rstrip("/")
    if explicit or not name:
        return explicit
    protocol = parts.get("defaultendpointsprotocol", "https")
    return f"{protocol}://{name}.{service}.{parts.get('endpointsuffix', 'core.windows.net')}"


def _invalid(why: str) -> InvalidConnectionError:
    # The string itself holds a key, so the message must not show it.
    return InvalidConnectionError(
        f"A storage connection string cannot be used: {why}.",
        "Set it to UseDevelopmentStorage=true (Azurite) or to the string on the portal's Access keys page.",
    )
