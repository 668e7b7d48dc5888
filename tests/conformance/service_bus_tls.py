"""One port for AMQP and for HTTPS, as Azure has one name for both: the samples' connection string has one endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_TLS_HANDSHAKE = b"\x16"


def write_certificate(folder: Path) -> Path:
    """A file with a new key and its self-signed certificate for 127.0.0.1; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "local Service Bus")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


class Endpoint:
    """A port: a connection that begins with TLS reaches `http_port`, without its TLS, and any other `amqp_port`."""

    def __init__(self, amqp_port: int, http_port: int, certificate: Path) -> None:
        self._ports = {False: amqp_port, True: http_port}
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="endpoint")

    def __enter__(self) -> Endpoint:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(self._loop)])
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._accept())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _accept(self) -> None:
        async with asyncio.TaskGroup() as connections:
            while True:
                client, _ = await self._loop.sock_accept(self._listener)
                connections.create_task(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        is_tls = await self._first_byte(client) == _TLS_HANDSHAKE
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with contextlib.suppress(OSError):
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, client, ssl=self._context if is_tls else None
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            bus_reader, bus_writer = await asyncio.open_connection("127.0.0.1", self._ports[is_tls])
            await asyncio.gather(_copy(reader, bus_writer), _copy(bus_reader, writer))

    async def _first_byte(self, client: socket.socket) -> bytes:
        """The first byte, left in place for who reads the connection."""
        readable = asyncio.Event()
        self._loop.add_reader(client, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(client)
        return client.recv(1, socket.MSG_PEEK)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()
