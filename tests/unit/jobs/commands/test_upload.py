"""`upload`: what lies in the container afterwards, and that the printed job is the one its trigger makes."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from azure.storage.blob import ContainerClient

from jobs import uploads
from jobs.commands.program import main

pytestmark = pytest.mark.usefixtures("at_azurite")


@pytest.fixture
def blob(azurite):
    """A blob's content type, content and version."""

    def read(container: str, name: str) -> tuple[str, bytes, str]:
        with ContainerClient.from_connection_string(azurite.connection_string, container) as client:
            download = client.download_blob(name)
            found = download.properties
            return found.content_settings.content_type, download.readall(), found.etag

    return read


@pytest.fixture
def file(tmp_path):
    """Makes a file whose name no other test has; returns it."""

    def make(suffix: str = ".jpg", content: bytes = b"pixels", folder: str = "."):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / f"é {uuid4().hex}{suffix}"
        path.write_bytes(content)
        return path

    return make


@pytest.mark.parametrize(
    ("container", "suffix", "kind", "content_type"),
    [
        ("photos", ".jpg", "photo", "image/jpeg"),
        ("photos", ".webp", "photo", "image/webp"),
        ("order-imports", ".csv", "order-import", "text/csv"),
        ("order-imports", ".jsonl", "order-import", "application/octet-stream"),
    ],
)
def test_a_file_becomes_a_blob_and_a_job(file, blob, capsys, container, suffix, kind, content_type):
    path = file(suffix)
    assert main(["upload", container, str(path)]) == 0
    found, content, etag = blob(container, path.name)
    assert (found, content) == (content_type, b"pixels")
    assert capsys.readouterr().out == f"{kind}/{uploads.message(container, path.name, etag)['id']}\n"


def test_several_files_each_with_its_job(file, capsys):
    paths = [file(), file(folder="2026")]
    assert main(["upload", "photos", *map(str, paths), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [(each["file"], each["blob"]) for each in made] == [(str(path), f"photos/{path.name}") for path in paths]
    assert len({each["id"] for each in made}) == 2


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_a_file_can_have_another_name(file, blob, capsys, separator):
    name = f"2026/{uuid4().hex}.png"
    assert main(["upload", "photos", str(file()), "--name", name.replace("/", separator)]) == 0
    content_type, _, etag = blob("photos", name)
    assert content_type == "image/png"
    assert capsys.readouterr().out == f"photo/{uploads.message('photos', name, etag)['id']}\n"


def test_waiting_for_the_jobs(file, blob, capsys, api):
    path = file()

    def answer(query):
        return 200, {"kind": "photo", "id": "x", "status": "Completed"}

    api.answers = _Whatever(answer)
    assert main(["upload", "photos", str(path), "--wait"]) == 0
    id = uploads.message("photos", path.name, blob("photos", path.name)[2])["id"]
    assert capsys.readouterr().out == f"photo/{id} is {path}\nphoto/x Completed\n"
    assert api.asked == [f"GET /api/jobs/photo/{id}"]


class _Whatever(dict):
    """One answer to everything: the id of the job is not known before."""

    def __init__(self, answer) -> None:
        self._answer = answer

    def get(self, request, default=None):
        return self._answer


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photos", "nowhere.jpg"], "there is no file nowhere.jpg"),
        (["photos", "folder"], "folder is a folder"),
        (["photos", "one.jpg", "folder/one.jpg"], "both be 'one.jpg'"),
        (["photos", "one.jpg", "two.jpg", "--name", "x"], "--name is for one file"),
        (["photos", "one.jpg", "--name", "a\nb"], "name"),
        (["photos", "one.jpg", "--name", "x" * 1025], "name"),
    ],
)
def test_what_is_not_uploaded_is_explained(tmp_path, capsys, azurite, arguments, said):
    (tmp_path / "folder").mkdir()
    for name in ("one.jpg", "two.jpg", "folder/one.jpg"):
        (tmp_path / name).write_bytes(b"pixels")
    assert main(["upload", *arguments]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert said in printed.err


def test_only_containers_whose_blobs_are_jobs(file, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["upload", "claims", str(file())])
    assert ended.value.code == 2 and "photos" in capsys.readouterr().err
