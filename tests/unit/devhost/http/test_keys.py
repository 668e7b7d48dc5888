"""Access keys: made once, kept privately, compared by level."""

from __future__ import annotations

import json
import stat

import pytest

from devhost.errors import DevhostError
from devhost.http.keys import Keys


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".devhost" / "keys.json"


def test_keys_are_made_once_and_only_for_their_owner(path):
    first, second = Keys(path, {}), Keys(path, {})
    assert first.master == second.master and len(first.master) > 30
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_level_has_its_keys(path):
    Keys(path, {})
    stored = json.loads(path.read_text())
    stored["functions"] = {"work": {"default": "only-work"}}
    path.write_text(json.dumps(stored))
    keys = Keys(path, {})
    host_key = stored["functionKeys"]["default"]
    assert keys.admits("anonymous", "work", None)
    assert not keys.admits("function", "work", None) and not keys.admits("function", "work", "wrong")
    for key in ("only-work", host_key, keys.master):
        assert keys.admits("function", "work", key)
    assert not keys.admits("function", "other", "only-work")
    assert keys.admits("admin", "work", keys.master) and not keys.admits("admin", "work", host_key)


def test_keys_may_come_from_the_environment(path):
    keys = Keys(path, {"DEVHOST_MASTER_KEY": "m", "DEVHOST_FUNCTION_KEY": "f"})
    assert keys.is_master("m") and keys.admits("function", "any", "f") and not keys.is_master("f")


def test_a_key_of_odd_bytes_is_only_a_wrong_key(path):
    assert not Keys(path, {}).is_master("\udcff")


def test_the_webhook_key_opens_only_the_webhook(path):
    keys = Keys(path, {})
    assert keys.opens_webhook(keys.durable_webhook) and keys.opens_webhook(keys.master)
    assert not keys.is_master(keys.durable_webhook) and not keys.opens_webhook(None)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_file_is_named(path, text):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(DevhostError, match="keys.json"):
        Keys(path, {})


def test_keys_of_an_older_devhost_get_what_they_lack_and_keep_the_rest(path):
    Keys(path, {})
    stored = json.loads(path.read_text())
    del stored["systemKeys"]["blobs_extension"]
    path.write_text(json.dumps(stored))
    keys = Keys(path, {})
    mended = json.loads(path.read_text())
    assert keys.master == stored["masterKey"] and keys.durable_webhook == stored["systemKeys"]["durabletask_extension"]
    assert keys.opens_webhook(mended["systemKeys"]["blobs_extension"], "blobs_extension")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
