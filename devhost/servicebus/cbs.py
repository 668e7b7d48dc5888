"""Claims-based security: tokens that a client puts on `$cbs`, and what it may do by them."""

from __future__ import annotations

from devhost.servicebus.access import SharedAccessPolicy
from devhost.servicebus.addresses import covers, to_path
from devhost.servicebus.errors import ArgumentError, ServiceBusError
from devhost.servicebus.message import Message
from devhost.servicebus.requests import Response


class Claims:
    """What one connection has shown that it may touch."""

    def __init__(self, policy: SharedAccessPolicy) -> None:
        self._policy = policy
        self._paths: set[str] = set()

    def grant(self, path: str) -> None:
        """From now on: this path and all below."""
        self._paths.add(path)

    def cover(self, path: str) -> bool:
        """Whether a token was put for it."""
        return any(covers(granted, path) for granted in self._paths)

    def __bool__(self) -> bool:
        return bool(self._paths)

    def handle(self, request: Message) -> Response:
        """A request on `$cbs` (servicebus-amqp.md §3)."""
        properties = request.application_properties
        audience = properties.get("name")
        try:
            if properties.get("operation") != "put-token":
                raise ArgumentError(f"'{properties.get('operation')}' is no operation of $cbs; put-token is.")
            self._policy.check_token(request.value, audience)
        except ServiceBusError as error:
            # Without an error-condition: the SDK drops status and text when there is one.
            return Response(error.status, str(error))
        self.grant(to_path(str(audience)))
        return Response(202, "Accepted")
