"""Calls a user's function, and tells its failure as the worker tells it."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devhost import logs
from devhost.context import THREAD_STORAGE
from devhost.invocation import FunctionInvocationError

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(slots=True)
class Raised:
    """An exception on its way out of a user's function.

    It travels as a value because neither a thread pool's future nor asyncio can carry every exception
    (StopIteration, SystemExit).
    """

    error: BaseException


async def call_async(function: Callable[..., Any], arguments: dict[str, Any], identifier: str) -> Any:
    """The result of an async function, or Raised. Only a cancellation by the host goes through."""
    token = logs.invocation_id.set(identifier)
    try:
        return await function(**arguments)
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and asyncio.current_task().cancelling():
            raise  # the host's own doing; a cancellation that the function let escape is its failure
        return Raised(error)
    finally:
        logs.invocation_id.reset(token)


def call_sync(function: Callable[..., Any], arguments: dict[str, Any], identifier: str) -> Any:
    """The result of a sync function, or Raised."""
    THREAD_STORAGE.invocation_id = identifier
    try:
        return function(**arguments)
    except BaseException as error:
        return Raised(error)
    finally:
        THREAD_STORAGE.invocation_id = None


def failure_of(error: Exception) -> FunctionInvocationError:
    """The failure as the worker reports it, its traceback beginning with the user's own frames."""
    if isinstance(error, FunctionInvocationError):
        return error
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        trace = trace.tb_next
    stack = "".join(traceback.format_exception(type(error), error, trace))
    return FunctionInvocationError(f"{type(error).__name__}: {error}", stack.rstrip("\n"))


def as_exception(error: BaseException) -> Exception:
    """SystemExit and its like end a worker process; here they end only the invocation."""
    wrapped = RuntimeError(f"the function raised {type(error).__name__}({error})")
    return wrapped.with_traceback(error.__traceback__)
