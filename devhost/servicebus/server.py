"""The bus's AMQP port: who connects, and which link leads to what."""

from __future__ import annotations

import asyncio
import time

from devhost.servicebus.access import SharedAccessPolicy
from devhost.servicebus.addresses import CBS, managed_entity, to_path
from devhost.servicebus.amqp.connection import Connection
from devhost.servicebus.amqp.errors import AmqpError
from devhost.servicebus.amqp.incoming import IncomingLink
from devhost.servicebus.amqp.link import Link
from devhost.servicebus.amqp.outgoing import OutgoingLink
from devhost.servicebus.amqp.sasl import SaslInit
from devhost.servicebus.broker import Broker
from devhost.servicebus.cbs import Claims
from devhost.servicebus.errors import InvalidFieldError, NotImplementedByBusError, ServiceBusError, UnauthorizedError
from devhost.servicebus.management import ManagementNode
from devhost.servicebus.receivers import Receiver
from devhost.servicebus.requests import CBS_FIELDS, MANAGEMENT_FIELDS, FieldNames, Handler, RequestLink, ResponseLinks
from devhost.servicebus.senders import Sender
from devhost.servicebus.session_receivers import SessionAttach, wants_session

TOKEN_TIMEOUT = 20.0
"""Seconds that an open connection may do without a valid token, as in the cloud (servicebus-amqp.md §2)."""
_FAREWELL = 0.5
_PAUSE = 0.01


class _Client:
    """What the bus knows of one connection."""

    def __init__(self, policy: SharedAccessPolicy) -> None:
        self.claims = Claims(policy)
        self.responses = ResponseLinks()
        self.token_timer: asyncio.TimerHandle | None = None


class ServiceBusServer:
    """Serves a broker over AMQP, and tells it when something is due."""

    container_id = "devhost.servicebus"

    def __init__(
        self, broker: Broker, address: str = "127.0.0.1", port: int = 5672, policy: SharedAccessPolicy | None = None
    ) -> None:
        """Port 0 takes a free one. `policy`: by default the official emulator's rule and key."""
        self._broker = broker
        self._address = address
        self._port = port
        self._policy = policy or SharedAccessPolicy()
        self._clients: dict[Connection, _Client] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._all_gone = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that is listened to."""
        return self._server.sockets[0].getsockname()[1]

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(lambda: Connection(self), self._address, self._port, backlog=256)
        self._broker.on_due = self._arm
        moment = self._broker.next_due()
        if moment is not None:
            self._arm(moment)

    async def stop(self) -> None:
        """Close all connections, as the cloud does for maintenance, and the port."""
        self._broker.on_due = None
        if self._timer is not None:
            self._timer.cancel()
        self._server.close()
        self._all_gone.clear()
        for connection in list(self._clients):
            connection.close(AmqpError("amqp:connection:forced", "The local Service Bus is being stopped."))
        if self._clients:
            try:
                await asyncio.wait_for(self._all_gone.wait(), _FAREWELL)
            except TimeoutError:
                for connection in list(self._clients):
                    connection.abort()
        await self._server.wait_closed()

    # for connections

    def connected(self, connection: Connection) -> None:
        """A socket was accepted."""
        self._clients[connection] = _Client(self._policy)

    @property
    def has_more_to_say(self) -> bool:
        """Whether answers wait for the commit that comes behind the work at hand."""
        return self._broker.is_committing

    def log_in(self, connection: Connection, init: SaslInit) -> bool:
        """Whether a client may go on: PLAIN needs rule name and key, for the rest a token follows."""
        if init.mechanism != "PLAIN":
            return True
        credentials = init.credentials()
        is_known = credentials is not None and self._policy.check_password(*credentials)
        if is_known:
            self._clients[connection].claims.grant("")
        return is_known

    def opened(self, connection: Connection) -> None:
        """A client has sent its OPEN."""
        client = self._clients[connection]
        client.token_timer = self._loop.call_later(TOKEN_TIMEOUT, self._check_claims, connection)

    def disconnected(self, connection: Connection) -> None:
        """A connection is gone."""
        client = self._clients.pop(connection)
        if client.token_timer is not None:
            client.token_timer.cancel()
        if not self._clients:
            self._all_gone.set()

    def attach(self, link: Link) -> None:
        """A client wants a link."""
        try:
            self._attach(link, self._clients[link.session.connection])
        except ServiceBusError as error:
            link.refuse(error.condition, str(error))

    def _attach(self, link: Link, client: _Client) -> None:
        if link.is_for_transactions:
            raise NotImplementedByBusError("The local Service Bus has no transactions.")
        path = to_path(link.address())
        if not path:
            raise InvalidFieldError("The link names no entity: a sender's target or a receiver's source is its path.")
        if path.lower() == CBS:
            self._attach_node(link, client, client.claims.handle, CBS_FIELDS)
            return
        entity = managed_entity(path)
        if not client.claims.cover(entity or path):
            raise UnauthorizedError(f"No token was put on $cbs for '{entity or path}' on this connection.")
        if entity is not None:
            self._attach_node(link, client, ManagementNode(self._broker, entity).handle, MANAGEMENT_FIELDS)
        elif isinstance(link, IncomingLink):
            Sender(self._broker, path, link)
        else:
            assert isinstance(link, OutgoingLink)
            self._attach_receiver(link, path)

    def _attach_node(self, link: Link, client: _Client, handle: Handler, names: FieldNames) -> None:
        if isinstance(link, IncomingLink):
            RequestLink(link, client.responses, handle, names, self._broker.when_committed)
        elif isinstance(link, OutgoingLink):
            client.responses.add(link)

    def _attach_receiver(self, link: OutgoingLink, path: str) -> None:
        queue = self._broker.queue(path)
        if wants_session(link):
            SessionAttach(self._broker, queue, link)
        else:
            receiver = Receiver(self._broker, queue, link)
            queue.attach(receiver)
            link.accept(receiver)

    def _check_claims(self, connection: Connection) -> None:
        if not self._clients[connection].claims:
            connection.close(
                AmqpError("amqp:unauthorized-access", f"No valid token in {TOKEN_TIMEOUT:g} seconds. Put one on $cbs.")
            )

    # for the broker

    def _arm(self, moment: int) -> None:
        """Run what is due at `moment`, in ms since 1970."""
        self._wake_in(moment / 1000 - time.time())

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(seconds, 0), self._run_due)

    def _run_due(self) -> None:
        self._timer = None
        due = self._broker.next_due()
        self._broker.run_due()
        moment = self._broker.next_due()
        if moment is not None:
            # The broker may go by another clock, a test's for example: then it is asked again, but not all the time.
            seconds = moment / 1000 - time.time()
            self._wake_in(max(seconds, _PAUSE) if moment == due else seconds)
