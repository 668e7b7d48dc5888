"""One call of an activity: what it is given, and the outcome that it hands back.

An exception that leaves an activity reaches its orchestrator only as text (durable.md §3), which cannot carry what the
orchestrator must know of a failure: its type, whether to try again, and when. Therefore an activity *returns* its
outcome: `{"ok": value}`, or `{"error": {type, message, retryable, retryAfter}}` for a JobError. Anything else that it
raises is a bug or a crash: it stays an exception, the host shows it as a failed activity, and `jobs.retry` allows it a
few tries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from azure.core.exceptions import AzureError
from pydantic import BaseModel

from jobs import claim_check, events, ledger, telemetry
from jobs.errors import JobError, TransientError
from jobs.ledger import JobRef

Model = TypeVar("Model", bound=BaseModel)
Work = Callable[["Call"], Awaitable[Any]]


@dataclass(frozen=True)
class Call:
    """What an activity is told: whose job, which step, the step's input, and which try this is."""

    job: JobRef
    step: str
    input: dict[str, Any]
    attempt: int = 1

    @property
    def key(self) -> str:
        """The idempotency key of the step's effect: the same in every repetition."""
        return f"{self.job.instance_id}/{self.step}"

    async def job_input(self, model: type[Model]) -> Model:
        """The whole input of the job, sensitive fields included. It must not leave the activity."""
        if self.job.claim is None:
            return model.model_validate(self.input)
        return model.model_validate(await claim_check.read(self.job.claim))


async def outcome(work: Work, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run `work` for a call that came from an orchestrator (`jobs.saga` makes them), and return its outcome.

    The first call of a job carries `begin`: it also enters the job's start into the ledger, and returns it as `run`.
    One that brings the job forward carries `percent`, how much of it is done then, which is told (see `jobs.events`).
    """
    call = Call(JobRef(**arguments["job"]), arguments["step"], arguments["input"], arguments["attempt"])
    # Whoever reads the history knows by it which steps took others back.
    result: dict[str, Any] = {"undo": True} if arguments.get("undo") else {}
    with telemetry.about(call.job, step=call.step):
        try:
            if arguments.get("begin"):
                run = await ledger.begin(call.job, runner=call.job.instance_id)
                result["run"] = asdict(run)
            result["ok"] = await work(call)
            if "percent" in arguments:
                events.progressed(call.job, call.step, arguments["percent"])
        except JobError as error:
            result["error"] = _told(error, call)
        except AzureError as error:
            if not _may_pass(error):
                raise
            result["error"] = _told(StorageUnavailableError(f"storage did not answer ({type(error).__name__})"), call)
    return result


class StorageUnavailableError(TransientError):
    """Azure Storage was busy, failed or could not be reached."""


def _told(error: JobError, call: Call) -> dict[str, Any]:
    telemetry.step_failed(error, attempt=call.attempt)
    return error.to_dict() | {"retryAfter": error.retry_after}


def _may_pass(error: AzureError) -> bool:
    """Whether it is the service that has a problem, and not what it was asked to do."""
    status = getattr(error, "status_code", None)
    return status is None or status in (408, 429) or status >= 500
