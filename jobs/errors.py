"""The errors of a job: whether trying again can help, what to call it, and what its owner may be told."""

from __future__ import annotations

from typing import Any


class JobError(Exception):
    """A job, or one step of it, did not succeed.

    The message says what went wrong and what to do; it must not contain sensitive input, because it travels into
    logs, the Durable history and the job's status.
    """

    retryable = False
    retry_after: float | None = None
    """Seconds to wait before the next try, when the other side said so."""

    @property
    def type(self) -> str:
        """The name of the error in statuses, logs and dead letters: the class name without `Error`."""
        return self.__class__.__name__.removesuffix("Error")

    def to_dict(self) -> dict[str, Any]:
        """What a status shows of the error."""
        return {"type": self.type, "message": str(self), "retryable": self.retryable}


class TransientError(JobError):
    """It may work the next time: a service was busy, unreachable or slow."""

    retryable = True

    def __init__(self, message: str, retry_after: float | None = None):
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(JobError):
    """It will never work, however often it is tried."""


class NotAJobError(PermanentError):
    """The bytes that arrived are no job: not UTF-8, not JSON, or not an object."""


class UnknownKindError(PermanentError):
    """The catalog has no such kind."""


class InvalidInputError(PermanentError):
    """The job's fields break its kind's input model."""

    def __init__(self, message: str, fields: list[dict[str, str]] | None = None):
        """`fields` names each field that is wrong: `[{"field": "lines.0.quantity", "message": "…"}]`."""
        super().__init__(message)
        self.fields = fields or []


class TooLargeError(PermanentError):
    """The input is larger than a job may be."""


class JobConflictError(PermanentError):
    """The id is taken by a job with another input."""


class JobNotFoundError(PermanentError):
    """There is no job of that kind and id."""


class DamagedRowError(PermanentError):
    """A row of the ledger cannot be read, because somebody has changed it past the app."""

    def __init__(self, kind: str, id: str, columns: list[str]):
        """`columns`: those that are missing, or hold what they must not."""
        self.job = f"{kind}/{id}"
        super().__init__(
            f"the row of {kind} job {id!r} in the table `jobs` cannot be read: {', '.join(columns)}. "
            "Something other than the app has changed it: set these columns right there, or delete the row"
        )


class ScheduleNotFoundError(PermanentError):
    """There is no schedule of that name."""


class TooLateError(PermanentError):
    """The job has gone too far to be cancelled, or is finished."""


class JobCancelledError(PermanentError):
    """Somebody asked for the job to be cancelled, in time."""


class DeadlineExceededError(PermanentError):
    """The job took longer than its kind may take."""


class ApprovalRejectedError(PermanentError):
    """A person was asked whether the job may go on, and it may not."""


class ApprovalNotFoundError(PermanentError):
    """There is no approval of that id."""


class ApprovalDecidedError(PermanentError):
    """The question is decided already, and a decision stays as it is."""


class ApprovalOverError(PermanentError):
    """The vote comes too late: the link or the question is no longer open to it."""


class LinkForgedError(PermanentError):
    """The link is none that the app has made."""


class NotSignedError(PermanentError):
    """What came from outside is not signed as it should be, so nobody knows who sent it."""


class JobFinishedError(PermanentError):
    """The job has already ended: nothing is left to do."""


class JobBusyError(PermanentError):
    """Another delivery of the same job is doing it."""


class SettingMissingError(PermanentError):
    """An app setting that this step needs is not set, or is not what it should be."""


class BlobChangedError(PermanentError):
    """The version of a blob that a job is about has been replaced or deleted."""


class MaxDequeueCountExceededError(TransientError):
    """A message was delivered as often as the host allows, and something went wrong every time."""


class ServiceBusUnavailableError(TransientError):
    """The Service Bus was busy, failed or could not be reached."""


class LetterNotFoundError(PermanentError):
    """There is no dead letter of that id."""


class LetterBusyError(TransientError):
    """Somebody else holds the dead letter at this moment."""


class ReplayRefusedError(PermanentError):
    """The dead letter must not be replayed."""


class ActivityFailedError(JobError):
    """An activity ended with an error that its orchestrator now knows by name only."""

    def __init__(self, type: str, message: str, *, retryable: bool = False):
        """`retryable`: it was tried again as often as allowed, so another job may fare better later."""
        super().__init__(message)
        self._type = type
        self.retryable = retryable

    @property
    def type(self) -> str:
        """The name the activity gave the error."""
        return self._type
