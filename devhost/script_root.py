"""Finds the app's folder, and gives the app the environment that the host's worker would: variables, cwd, sys.path."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from devhost.errors import ScriptRootError

_PACKAGES = Path(".python_packages") / "lib" / "site-packages"


def find_script_root(given: str | None, start: Path) -> Path:
    """The folder `given`, or the nearest ancestor of `start` that holds host.json or local.settings.json (§1.5).

    Raises ScriptRootError.
    """
    if given is not None:
        root = Path(given).resolve()
        if not root.is_dir():
            raise ScriptRootError(f"--script-root {given} is not a folder.", "Name the folder that holds host.json.")
        return root
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "host.json").exists() or (folder / "local.settings.json").exists():
            return folder
    raise ScriptRootError(
        f"There is no host.json or local.settings.json in {start.resolve()} or above it.",
        "Change to the folder of the function app, or name it with --script-root.",
    )


@contextlib.contextmanager
def app_environment(script_root: Path, values: Mapping[str, str]) -> Iterator[None]:
    """Make `values` the process environment, `script_root` the cwd and the first place of imports.

    At the end all three are as before, and the modules that the app brought in are forgotten, or replaced by those of
    their names that were there, so that the next app of this process imports its own.
    """
    environment, folder, path, modules = dict(os.environ), os.getcwd(), list(sys.path), dict(sys.modules)
    os.environ.clear()
    os.environ.update(values)
    os.chdir(script_root)
    additions = [str(script_root)]
    if (script_root / _PACKAGES).is_dir():
        additions.append(str(script_root / _PACKAGES))
    sys.path[:] = additions + [entry for entry in sys.path if entry not in additions]
    try:
        yield
    finally:
        for name, module in list(sys.modules.items()):
            if modules.get(name) is not module and _belongs_to(script_root, name):
                del sys.modules[name]
                if name in modules:
                    sys.modules[name] = modules[name]
        sys.path[:] = path
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)


def _belongs_to(script_root: Path, module_name: str) -> bool:
    """Whether a module is the app's own. devhost and the tests beside an app are not."""
    if module_name.split(".")[0] in ("devhost", "tests", "conftest"):
        return False
    file = getattr(sys.modules[module_name], "__file__", None)
    paths = [file] if file else list(getattr(sys.modules[module_name], "__path__", []))
    return any(is_app_file(script_root, path) for path in paths)


def is_app_file(script_root: Path, path: str) -> bool:
    """Whether `path` is a file of the app, not of a package installed somewhere below its folder."""
    prefix = str(script_root) + os.sep
    return path.startswith(prefix) and "site-packages" not in path[len(prefix) :]
