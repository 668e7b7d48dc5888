"""The app's folder, and the environment it runs in."""

from __future__ import annotations

import os
import sys

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


def test_what_is_the_apps_own(tmp_path):
    assert is_app_file(tmp_path, str(tmp_path / "jobs" / "x.py"))
    assert not is_app_file(tmp_path, str(tmp_path / ".venv" / "lib" / "site-packages" / "x.py"))
    assert not is_app_file(tmp_path, str(tmp_path) + "-other/x.py")
