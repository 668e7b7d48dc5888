"""`upload CONTAINER FILE...`: put files where each becomes a job."""

from __future__ import annotations

import argparse
import mimetypes
from pathlib import Path
from typing import Any

from azure.storage.blob import ContentSettings

from jobs import uploads
from jobs.clients import clients
from jobs.commands import printed, wait
from jobs.commands.files import FileMissingError, must_exist
from jobs.commands.options import DONE, Commands, add_command, add_tell, span, to_tell
from jobs.errors import InvalidInputError
from jobs.job import open_envelope, parse

CODES = f"0 uploaded; 1 not uploaded: a line on stderr says why; with --wait, as of `wait`: {wait.CODES}"


def add(commands: Commands) -> None:
    parser = add_command(commands, "upload", "put files into a container, and print the job of each", run, CODES)
    parser.add_argument("container", choices=sorted(uploads.KINDS), help="where to")
    parser.add_argument("files", metavar="FILE", nargs="+", help="the blob gets its name, without the folder")
    parser.add_argument("--name", help="the blob's name, if there is one file: 2026/mug.jpg")
    add_tell(parser)
    parser.add_argument("--wait", action="store_true", help="until the jobs have ended")
    parser.add_argument("--timeout", type=span, default="5m", metavar="SPAN", help="of --wait: 90s, 30m, 12h (5m)")


async def run(options: argparse.Namespace) -> int:
    files = _named(options)
    # Nothing is uploaded unless all of it can be.
    for name, path in files.items():
        _check(options, name, path)
    await clients().provide()
    made = [await _upload(options, name, path) for name, path in files.items()]
    options.ids = [f"{each['kind']}/{each['id']}" for each in made]
    if options.wait:
        if not options.json:
            print(
                "\n".join(f"{name} is {each['file']}" for name, each in zip(options.ids, made, strict=True)), flush=True
            )
        return await wait.run(options)
    if options.json:
        printed.as_json(made)
    else:
        print("\n".join(options.ids))
    return DONE


def _named(options: argparse.Namespace) -> dict[str, Path]:
    """The files by the names of their blobs. Raises InvalidInputError when two would be one blob."""
    if options.name and len(options.files) > 1:
        raise InvalidInputError("--name is for one file: upload the others without it")
    files: dict[str, Path] = {}
    for file in map(Path, options.files):
        # Storage takes the one for the other, and the job's id is made of what it calls the blob.
        name = (options.name or file.name).replace("\\", "/")
        if name in files:
            raise InvalidInputError(f"{files[name]} and {file} would both be {name!r}: upload one of them under --name")
        files[name] = file
    return files


def _check(options: argparse.Namespace, name: str, path: Path) -> None:
    """Refuse what could be no job. Raises FileMissingError, InvalidInputError."""
    if path.is_dir():
        raise FileMissingError(f"{path} is a folder: name the files in it")
    must_exist(path)
    parse(open_envelope({**uploads.message(options.container, name, "0x0"), **to_tell(options)}))


async def _upload(options: argparse.Namespace, name: str, path: Path) -> dict[str, Any]:
    container = options.container
    content_type = mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
    with path.open("rb") as content:
        blob = (
            await clients()
            .container(container)
            .upload_blob(
                name,
                content,
                overwrite=True,
                content_settings=ContentSettings(content_type=content_type),
                metadata=to_tell(options),
            )
        )
    etag = (await blob.get_blob_properties()).etag
    job = uploads.message(container, name, etag)
    return {"file": str(path), "blob": f"{container}/{name}", "kind": job["kind"], "id": job["id"]}
