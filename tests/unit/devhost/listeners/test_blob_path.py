"""Which blobs a path means, and what its tokens stand for (functions-host.md §5)."""

from __future__ import annotations

import pytest

from devhost.listeners.blob_path import BlobPath, BlobPathError


@pytest.mark.parametrize(
    ("path", "name", "tokens"),
    [
        ("inbox", "any/thing.txt", {}),
        ("inbox/a.txt", "a.txt", {}),
        ("inbox/a.txt", "A.txt", None),
        ("inbox/a.txt", "xa.txt", None),
        ("inbox/a.txt", "aXtxt", None),
        ("inbox/{name}", "sub/a.txt", {"name": "sub/a.txt"}),
        ("inbox/{name}.txt", "a.b.txt", {"name": "a.b"}),
        ("inbox/{name}.txt", "a.txt.bak", None),
        ("inbox/{name}.txt", "a.TXT", None),
        ("inbox/{a}-{b}.{kind}", "1-2-3.tar.gz", {"a": "1-2", "b": "3.tar", "kind": "gz"}),
        ("inbox/{{{name}}}", "{x}", {"name": "x"}),
        ("inbox/{{literal}}", "{literal}", {}),
        ("Inbox/{name}", "a", {"name": "a"}),
    ],
)
def test_what_a_path_matches(path, name, tokens):
    assert BlobPath(path).match("inbox", name) == tokens


def test_containers_are_compared_without_regard_to_case_and_others_never_match():
    assert BlobPath("INBOX/{name}").container == "inbox"
    assert BlobPath("inbox").match("InBox", "a") == {}
    assert BlobPath("inbox").match("inbox2", "a") is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("in{x}/a", "token in its container"),
        ("inbox/", "names no blob"),
        ("/a", "name of a container"),
        ("", "name of a container"),
        ("a_b/c", "name of a container"),
        ("inbox/{a", "without its partner"),
        ("inbox/a}", "without its partner"),
        ("inbox/{}", "is no name"),
        ("inbox/{rand-guid}", "is no name"),
    ],
)
def test_a_path_that_cannot_be_used_is_said(path, why):
    with pytest.raises(BlobPathError, match=why):
        BlobPath(path)
