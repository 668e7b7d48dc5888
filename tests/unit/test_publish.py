"""What `func azure functionapp publish` takes: the app alone, and it imports from nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AT_HOME = {"devhost", "sandbox", "tests", "bench", "demo", "samples", "docs"}
LOOK = """
import json, sys
import function_app
names = sorted(function.get_function_name() for function in function_app.app.get_functions())
print(json.dumps({"functions": names, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def git(*arguments: str) -> set[str]:
    """The files that `git ls-files` lists; .funcignore is in gitignore's syntax, so git itself can apply it."""
    listed = subprocess.run(["git", "ls-files", "-z", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(filter(None, listed.stdout.split("\0")))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only the files that are published."""
    folder = tmp_path_factory.mktemp("published")
    for name in git() - git("--cached", "--ignored", "--exclude-from=.funcignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_only_the_app_is_published(published):
    files = {".funcignore", "function_app.py", "host.json", "requirements.txt", "servicebus.json"}
    folders = {"activities", "jobs", "orchestrators", "triggers"}
    assert {path.name for path in published.iterdir()} == files | folders
    others = [path for path in published.rglob("*") if path.parent != published and path.is_file()]
    assert {path.parent.name for path in others if path.suffix != ".py"} == {"pages"}


def test_it_is_small(published):
    sizes = {path: path.stat().st_size for path in published.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 2_000_000
    assert max(sizes.values()) < 200_000, "is that a file that only development needs?"


def test_it_imports_from_nothing_else(published):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", LOOK], cwd=published, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert {"submit_job", "take_job", "order", "reserve_stock"} <= set(seen["functions"])
    assert not AT_HOME & set(seen["modules"])


def test_what_git_does_not_know_stays_at_home_too(tmp_path):
    names = ["local.settings.json", ".devhost/keys.json", ".venv/bin/python", "node_modules/azurite/package.json"]
    (tmp_path / ".gitignore").write_bytes((ROOT / ".funcignore").read_bytes())
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=tmp_path, capture_output=True, text=True)
    assert ignored.stdout.split() == names
