"""Transports that let the administration client of azure-servicebus, which always asks for https, speak plain HTTP.

    ServiceBusAdministrationClient.from_connection_string(text, transport=PlainHttpTransport())
"""

from __future__ import annotations

from typing import Any

from azure.core.pipeline.transport import AioHttpTransport, RequestsTransport


class PlainHttpTransport(RequestsTransport):
    """For `azure.servicebus.management`."""

    def send(self, request: Any, **options: Any) -> Any:
        """Send the request as http."""
        request.url = _plain(request.url)
        return super().send(request, **options)


class AioPlainHttpTransport(AioHttpTransport):
    """For `azure.servicebus.aio.management`."""

    async def send(self, request: Any, **options: Any) -> Any:
        """Send the request as http."""
        request.url = _plain(request.url)
        return await super().send(request, **options)


def _plain(url: str) -> str:
    return url.replace("https://", "http://", 1)
