"""Both doors opened over one world, and closed again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiohttp import web

from sandbox.http_doors import create_app
from sandbox.smtp import start_smtp
from sandbox.world import World

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the open doors are, on this machine only."""

    http_port: int
    smtp_port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    @property
    def smtp_url(self) -> str:
        return f"smtp://{HOST}:{self.smtp_port}"


class PortTakenError(Exception):
    """Another process listens on a port that the sandbox was told to use."""


@asynccontextmanager
async def serve(world: World, port: int = 0, smtp_port: int = 0) -> AsyncIterator[Addresses]:
    """Open the doors; port 0 takes a free one. Raises PortTakenError, with the remedy."""
    runner = web.AppRunner(create_app(world), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        with _naming("HTTP", port, "--port"):
            await web.TCPSite(runner, HOST, port).start()
        with _naming("SMTP", smtp_port, "--smtp-port"):
            smtp = await start_smtp(world, HOST, smtp_port)
        try:
            yield Addresses(runner.addresses[0][1], smtp.sockets[0].getsockname()[1])
        finally:
            smtp.close()
    finally:
        await runner.cleanup()


@contextmanager
def _naming(door: str, port: int, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PortTakenError(
            f"{door} port {port} cannot be opened ({error.strerror}); stop what uses it or choose another with {option}"
        ) from error
