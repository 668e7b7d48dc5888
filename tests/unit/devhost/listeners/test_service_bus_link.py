"""What a link to the Service Bus says when the service says no."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from azure.servicebus._pyamqp.error import AMQPLinkError
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from azure.servicebus.exceptions import OperationTimeoutError

from devhost.listeners.service_bus_link import ReceiveLink


def test_that_no_session_has_come_is_no_line_of_the_hosts(caplog):
    link = object.__new__(ReceiveLink)
    link.receiver = SimpleNamespace(_amqp_transport=PyamqpTransport)
    with caplog.at_level(logging.INFO, "azure.servicebus"):
        error = link._explained(AMQPLinkError(condition=b"com.microsoft:timeout"))
    assert isinstance(error, OperationTimeoutError)
    assert {record.name.partition(".")[0] for record in caplog.records} == {"azure"}
