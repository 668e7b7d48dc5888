"""Finds the app's folder, and gives the app the environment that the host's worker would: variables, cwd, sys.path."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

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


@dataclass(slots=True)
class _Layer:
    """One app's environment in force, and what was before it."""

    script_root: Path
    variables: dict[str, str]
    folder: str
    path: list[str]
    modules: dict[str, ModuleType]

    def restore(self) -> None:
        """Make the process as it was before, and forget the app's modules unless another host has them too."""
        shared = any(layer.script_root == self.script_root for layer in _layers)
        for name, module in list(sys.modules.items()):
            if not shared and self.modules.get(name) is not module and _belongs_to(self.script_root, name):
                _replace_module(name, module, self.modules.get(name))
        sys.path[:] = self.path
        os.chdir(self.folder)
        _set_variables(self.variables)

    def inherit(self, earlier: _Layer) -> None:
        """Take over what was before an earlier layer that has ended."""
        self.variables, self.folder, self.path, self.modules = (
            earlier.variables, earlier.folder, earlier.path, earlier.modules
        )  # fmt: skip


_layers: list[_Layer] = []
"""One for each host of this process, in the order of their starts. More than one happens in tests only."""


@contextlib.contextmanager
def app_environment(script_root: Path, values: Mapping[str, str]) -> Iterator[None]:
    """Make `values` the process environment, `script_root` the cwd and the first place of imports.

    At the end all three are as before, and the modules that the app brought in are forgotten, or replaced by those of
    their names that were there, so that the next app of this process imports its own. Hosts may end in any order: what
    was before one that ends stays away until those that started after it have ended too.
    """
    layer = _Layer(script_root, dict(os.environ), os.getcwd(), list(sys.path), dict(sys.modules))
    _layers.append(layer)
    _set_variables(values)
    os.chdir(script_root)
    additions = [str(script_root)]
    if (script_root / _PACKAGES).is_dir():
        additions.append(str(script_root / _PACKAGES))
    sys.path[:] = additions + [entry for entry in sys.path if entry not in additions]
    try:
        yield
    finally:
        position = _layers.index(layer)
        del _layers[position]
        if position == len(_layers):
            layer.restore()
        else:
            _layers[position].inherit(layer)


def _set_variables(values: Mapping[str, str]) -> None:
    """Make `values` the whole environment; local time follows the time zone they name, as a new process's would."""
    os.environ.clear()
    os.environ.update(values)
    time.tzset()


def _replace_module(name: str, module: ModuleType, earlier: ModuleType | None) -> None:
    """Forget a module, or put the earlier one of that name in its place: in `sys.modules` and in its package."""
    package, _, last = name.rpartition(".")
    holder = sys.modules.get(package)
    if earlier is not None:
        sys.modules[name] = earlier
    else:
        del sys.modules[name]
    if holder is not None and getattr(holder, last, None) is module:
        setattr(holder, last, earlier) if earlier is not None else delattr(holder, last)


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
