"""Imports function_app.py as the worker does, and finds the one app in it."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import azure.functions as func

from devhost.errors import AppLoadError
from devhost.script_root import is_app_file

_DEFAULT_SCRIPT = "function_app.py"
_SCRIPT_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]*\.py")


def load_functions(script_root: Path, environment: Mapping[str, str]) -> list[Any]:
    """The azure.functions Function objects of the app in `script_root`, whose environment is in force.

    Raises AppLoadError with the app's own traceback, the cause and a remedy (functions-host.md §1.1).
    """
    script = environment.get("PYTHON_SCRIPT_FILE_NAME") or _DEFAULT_SCRIPT
    if not _SCRIPT_NAME.fullmatch(script):
        raise AppLoadError(
            f"PYTHON_SCRIPT_FILE_NAME is '{script}', which is not the name of a Python file.", "Write it as my_app.py."
        )
    if not (script_root / script).is_file():
        raise AppLoadError(
            f"There is no {script} in {script_root}.",
            "devhost runs the v2 programming model: one FunctionApp or DFApp in function_app.py. "
            "Apps with a function.json per folder need `func start`.",
        )
    app = _find_app(_import(script_root, script), script)
    try:
        # Once only: a second call reports every name as a duplicate.
        return app.get_functions()
    except Exception as error:
        raise AppLoadError(
            f"The functions in {script} cannot be indexed: {error}",
            "Each function needs exactly one trigger and a name of its own.",
        ) from None


def _import(script_root: Path, script: str) -> ModuleType:
    name = Path(script).stem
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise AppLoadError(
            f"{script} cannot be imported: {_first_line(error)}",
            _remedy(error, script_root),
            detail=_app_traceback(error, script_root),
        ) from None


def _find_app(module: ModuleType, script: str) -> func.FunctionRegister:
    apps = {id(value): value for value in vars(module).values() if isinstance(value, func.FunctionRegister)}
    if not apps:
        blueprint = any(isinstance(value, func.Blueprint) for value in vars(module).values())
        raise AppLoadError(
            f"{script} holds no function app" + (", only a blueprint." if blueprint else "."),
            "Create one at module level: `app = func.FunctionApp()` or `app = df.DFApp()`"
            + (" and app.register_functions(blueprint)." if blueprint else "."),
        )
    if len(apps) > 1:
        raise AppLoadError(
            f"{script} holds {len(apps)} function apps, but only one is allowed.",
            "Keep one app; make the others func.Blueprint() and register them with app.register_functions(...).",
        )
    return next(iter(apps.values()))


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ")


def _remedy(error: BaseException, script_root: Path) -> str:
    if isinstance(error, ModuleNotFoundError):
        if (script_root / "requirements.txt").exists():
            return (
                f"If '{error.name}' is a package, add it to requirements.txt and run "
                f"`{sys.executable} -m pip install -r requirements.txt`; if it is the app's own, check its name."
            )
        return f"Install it (`{sys.executable} -m pip install ...`) and note it in requirements.txt."
    if isinstance(error, SyntaxError) and error.filename:
        return f"Mend {error.filename}, line {error.lineno}."
    if isinstance(error, SystemExit):
        return "The app ends the process while it is imported; guard that code with `if __name__ == '__main__':`."
    return "The last line of the traceback above says where; the app must import without running any job."


def _app_traceback(error: BaseException, script_root: Path) -> str:
    """The traceback of the app's own frames: what stands before and between them is Python's import machinery."""
    trace, frames = error.__traceback__, []
    while trace is not None:
        if is_app_file(script_root, trace.tb_frame.f_code.co_filename):
            frames.append(trace)
        trace = trace.tb_next
    last = _last(error.__traceback__)
    if frames and last not in frames and "importlib" not in last.tb_frame.f_code.co_filename:
        frames.append(last)
    lines = [line for frame in frames for line in traceback.format_tb(frame, limit=1)]
    text = "".join(lines + traceback.format_exception_only(type(error), error))
    return f"Traceback (the app's own frames):\n{text}" if lines else text


def _last(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace
