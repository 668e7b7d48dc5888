"""What the bus refuses or cannot do, each with the AMQP condition and the status code a client is told."""

from __future__ import annotations


class ServiceBusError(Exception):
    """A request that fails. The text goes to the client: what went wrong, likely cause, remedy.

    `condition` is the AMQP symbol from which the client picks its exception class (servicebus-amqp.md §9); `status` is
    the code in a management or HTTP answer.
    """

    condition = "amqp:internal-error"
    status = 500


class EntityNotFoundError(ServiceBusError):
    """There is no queue, topic, subscription or rule of that name."""

    condition = "amqp:not-found"
    status = 404


class EntityAlreadyExistsError(ServiceBusError):
    """The name is taken."""

    condition = "com.microsoft:entity-already-exists"
    status = 409


class EntityDisabledError(ServiceBusError):
    """The entity's status forbids to send, to receive, or both."""

    condition = "com.microsoft:entity-disabled"
    status = 403


class UnauthorizedError(ServiceBusError):
    """The token is missing, wrong or over."""

    condition = "amqp:unauthorized-access"
    status = 401


class NotAllowedError(ServiceBusError):
    """The entity does not work that way: a plain receiver on a session queue, a send to a subscription…"""

    condition = "amqp:not-allowed"
    status = 400


class NotImplementedByBusError(ServiceBusError):
    """Azure can do it, the local bus cannot."""

    condition = "amqp:not-implemented"
    status = 501


class InvalidFieldError(ServiceBusError):
    """A field of a frame or of an entity's description has a value that cannot be used."""

    condition = "amqp:invalid-field"
    status = 400


class ArgumentError(ServiceBusError):
    """An argument of a management operation cannot be used."""

    condition = "com.microsoft:argument-error"
    status = 400


class MessageFormatError(ServiceBusError):
    """The bytes are not an AMQP message."""

    condition = "amqp:decode-error"
    status = 400


class MessageSizeExceededError(ServiceBusError):
    """The message is larger than the entity takes."""

    condition = "amqp:link:message-size-exceeded"
    status = 413


class QuotaExceededError(ServiceBusError):
    """The entity, or the namespace, is full."""

    condition = "amqp:resource-limit-exceeded"
    status = 403


class MessageLockLostError(ServiceBusError):
    """The lock token stands for no message that is locked at this moment."""

    condition = "com.microsoft:message-lock-lost"
    status = 410


class SessionLockLostError(ServiceBusError):
    """The session is not locked by the one who asks."""

    condition = "com.microsoft:session-lock-lost"
    status = 410


class SessionCannotBeLockedError(ServiceBusError):
    """Another receiver holds the session."""

    condition = "com.microsoft:session-cannot-be-locked"
    status = 409


class MessageNotFoundError(ServiceBusError):
    """No deferred or scheduled message has that sequence number."""

    condition = "com.microsoft:message-not-found"
    status = 404


class OperationTimeoutError(ServiceBusError):
    """It did not come about in the time that was given, a free session for example."""

    condition = "com.microsoft:timeout"
    status = 408
