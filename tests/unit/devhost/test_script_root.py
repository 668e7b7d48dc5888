"""The app's folder, and the environment it runs in."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time

import pytest

from devhost.errors import ScriptRootError
from devhost.script_root import app_environment, find_script_root, is_app_file


@pytest.mark.parametrize("marker", ["host.json", "local.settings.json"])
def test_the_nearest_folder_upwards(marker, tmp_path):
    (tmp_path / marker).touch()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_script_root(None, deep) == tmp_path
    (tmp_path / "a" / marker).touch()
    assert find_script_root(None, deep) == tmp_path / "a"


def test_a_given_folder_stands_before_it(tmp_path):
    (tmp_path / "host.json").touch()
    (tmp_path / "app").mkdir()
    assert find_script_root(str(tmp_path / "app"), tmp_path) == tmp_path / "app"
    with pytest.raises(ScriptRootError, match="not a folder"):
        find_script_root(str(tmp_path / "none"), tmp_path)


def test_everything_is_as_before_afterwards(tmp_path):
    before = dict(os.environ), os.getcwd(), list(sys.path)
    (tmp_path / "only_here.py").touch()
    with app_environment(tmp_path, {**os.environ, "ONLY": "here"}):
        import only_here  # noqa: F401

        assert (os.environ["ONLY"], os.getcwd(), sys.path[0]) == ("here", str(tmp_path), str(tmp_path))
        os.environ["ADDED_BY_THE_APP"] = "1"
    assert (dict(os.environ), os.getcwd(), list(sys.path)) == before
    assert "only_here" not in sys.modules


def test_namespace_packages_are_forgotten_too(tmp_path):
    (tmp_path / "without_init").mkdir()
    (tmp_path / "without_init" / "inner.py").touch()
    with app_environment(tmp_path, dict(os.environ)):
        import without_init.inner  # noqa: F401
    assert not any(name.startswith("without_init") for name in sys.modules)


def test_a_package_that_stays_forgets_its_modules_too(tmp_path, monkeypatch):
    package = tmp_path / "staying_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    import staying_package

    for _ in range(2):
        with app_environment(tmp_path, dict(os.environ)):
            from staying_package import inner  # noqa: F401

            assert "staying_package.inner" in sys.modules
        assert not hasattr(staying_package, "inner")
    del sys.modules["staying_package"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_hosts_of_one_process_may_end_in_any_order(order, tmp_path):
    before = dict(os.environ), os.getcwd(), list(sys.path)
    (tmp_path / "only_here.py").touch()
    stacks = [contextlib.ExitStack() for _ in range(3)]
    for number, stack in enumerate(stacks):
        stack.enter_context(app_environment(tmp_path, {**os.environ, "NUMBER": str(number)}))
        importlib.import_module("only_here")
    for position, number in enumerate(order):
        running = [left for left in range(3) if left not in order[:position]]
        assert int(os.environ["NUMBER"]) in range(max(running), 3), "what a running host saw last, or a later one"
        assert (os.getcwd(), sys.path[0]) == (str(tmp_path), str(tmp_path))
        stacks[number].close()
    assert (dict(os.environ), os.getcwd(), list(sys.path)) == before
    assert "only_here" not in sys.modules


def test_local_time_follows_the_time_zone(tmp_path):
    before = time.localtime(0).tm_hour
    with app_environment(tmp_path, {**os.environ, "TZ": "Asia/Kathmandu"}):
        assert time.localtime(0)[3:5] == (5, 30)
    assert time.localtime(0).tm_hour == before


def test_what_is_the_apps_own(tmp_path):
    assert is_app_file(tmp_path, str(tmp_path / "jobs" / "x.py"))
    assert not is_app_file(tmp_path, str(tmp_path / ".venv" / "lib" / "site-packages" / "x.py"))
    assert not is_app_file(tmp_path, str(tmp_path) + "-other/x.py")
