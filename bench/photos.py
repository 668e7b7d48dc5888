"""Sixty photos dropped at once, beside a plain process pool that makes the same thumbnails: `python -m bench.photos`.

Both find the photos in the same Azurite and write into it. The pool is told their names; the host finds them, and does
each as a job with a status, retries and a dead letter if it must be.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from uuid import uuid4

import psutil
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient, ContainerClient
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from activities import images
from bench.report import against_aim
from demo.stack import stack
from orchestrators.photo import SIZES
from samples.photos.sample_set import sample_set

AIM = 0.6
"""The host's photos a second over the pool's."""
WORKERS = 2
LONGEST = 300.0
"""Seconds that a round may take."""
FILES = 2 * len(SIZES) + 1
"""Blobs that are written for a photo."""


@dataclass(frozen=True, slots=True)
class Run:
    """One round of one contestant: in seconds its time, its CPU, and Azurite's."""

    photos: int
    seconds: float
    worker: float
    azurite: float

    @property
    def rate(self) -> float:
        """Photos a second."""
        return self.photos / self.seconds


class Bench:
    """The photos, uploaded beforehand, and the storage that both contestants work with."""

    def __init__(self, connection_string: str, long_side: int) -> None:
        self.connection_string = connection_string
        self._blobs = BlobServiceClient.from_connection_string(connection_string)
        self._jobs = TableServiceClient.from_connection_string(connection_string).get_table_client("jobs")
        self.samples = {sample.name: sample.content for sample in sample_set(long_side)}
        self._blobs.create_container("staged")
        with ThreadPoolExecutor() as threads:
            list(threads.map(self._stage, self.samples))

    def _stage(self, name: str) -> None:
        self._blobs.get_blob_client("staged", name).upload_blob(self.samples[name])

    def drop(self, container: str) -> str:
        """Put all photos into a new folder of the container, without sending them again. Returns the folder."""
        folder = uuid4().hex
        staged = self._blobs.get_container_client("staged").url

        def copy(name: str) -> None:
            self._blobs.get_blob_client(container, f"{folder}/{name}").start_copy_from_url(f"{staged}/{name}")

        with ThreadPoolExecutor() as threads:
            list(threads.map(copy, self.samples))
        return folder

    def completed(self) -> int:
        """How many photo jobs are done well. Raises AssertionError when one is not."""
        rows = self._jobs.query_entities("PartitionKey eq 'photo' and state ne 'Pending'", select=["state"])
        states = [row["state"] for row in rows]
        assert "Failed" not in states, "a photo's job has failed: see the host's log"
        return states.count("Completed")

    def written(self, container: str, folder: str) -> dict[str, bytes]:
        """The checksum of each thumbnail of a round, by photo and file."""
        found = self._blobs.get_container_client(container).list_blobs(name_starts_with=f"{folder}/")
        sums = {}
        for blob in found:
            photo, _version, file = blob.name.removeprefix(f"{folder}/").rsplit("/", 2)
            if file != "manifest.json":
                sums[f"{photo}/{file}"] = bytes(blob.content_settings.content_md5)
        return sums


def host_round(bench: Bench) -> str:
    """The photos as they come in. Returns their folder."""
    before = bench.completed()
    folder = bench.drop("photos")
    deadline = time.monotonic() + LONGEST
    while bench.completed() < before + len(bench.samples):
        assert time.monotonic() < deadline, f"not within {LONGEST:.0f} s"
        time.sleep(0.1)
    return folder


def pool_round(bench: Bench, pool: ProcessPoolExecutor) -> str:
    """The same photos by a loop that knows which there are. Returns their folder."""
    folder = bench.drop("pool-photos")
    list(pool.map(make_thumbnails, [f"{folder}/{name}" for name in bench.samples]))
    return folder


_containers: dict[str, ContainerClient] = {}


def open_containers(connection_string: str) -> None:
    """What each process of the pool does first."""
    service = BlobServiceClient.from_connection_string(connection_string)
    _containers.update({name: service.get_container_client(name) for name in ("pool-photos", "pool-thumbnails")})


def make_thumbnails(name: str) -> None:
    """The work itself, with nothing around it."""
    photo = images.prepare(_containers["pool-photos"].download_blob(name).readall())
    made = [(size, file) for size in SIZES for file in images.thumbnail(photo, size)]
    for size, file in made:
        blob = f"{name}/pool/{size}.{file.format}"
        _containers["pool-thumbnails"].upload_blob(blob, file.content, overwrite=True)
    listed = "\n".join(f"{size}.{file.format} {file.width} x {file.height}" for size, file in made)
    _containers["pool-thumbnails"].upload_blob(f"{name}/pool/manifest.json", listed, overwrite=True)


@contextmanager
def process_pool(connection_string: str) -> Iterator[ProcessPoolExecutor]:
    """The pool, its processes up and their libraries imported."""
    service = BlobServiceClient.from_connection_string(connection_string)
    for name in ("pool-photos", "pool-thumbnails"):
        service.create_container(name)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, open_containers, (connection_string,)) as pool:
        list(pool.map(time.sleep, [0.2] * WORKERS))
        yield pool


def measure_all(
    bench: Bench, pool: ProcessPoolExecutor, rounds: int, console: Console
) -> tuple[dict[str, list[Run]], bool]:
    """All rounds, in turns, after one that warms up; and whether both made the same thumbnails."""
    contestants: dict[str, tuple[Callable[[], str], Callable[[], float]]] = {
        f"process pool, {WORKERS} workers": (partial(pool_round, bench, pool), lambda: cpu("multiprocessing")),
        "devhost": (partial(host_round, bench), lambda: cpu("devhost start")),
    }
    runs: dict[str, list[Run]] = {title: [] for title in contestants}
    for number in range(rounds + 1):
        folders = []
        for title, (work, used) in contestants.items():
            began, worker, azurite = time.perf_counter(), used(), cpu("azurite")
            folders.append(work())
            run = Run(len(bench.samples), time.perf_counter() - began, used() - worker, cpu("azurite") - azurite)
            if number:
                runs[title].append(run)
                console.print(f"round {number}: {title:<24}{run.rate:6.1f} photos/s", highlight=False)
    by_pool, by_host = bench.written("pool-thumbnails", folders[0]), bench.written("thumbnails", folders[1])
    return runs, by_pool == by_host and len(by_pool) == len(bench.samples) * (FILES - 1)


def cpu(said: str) -> float:
    """CPU seconds of this process's descendants whose command line says so."""
    seconds = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            if said in " ".join(child.cmdline()):
                seconds += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return seconds


def print_report(runs: dict[str, list[Run]], photos: int, long_side: int, console: Console) -> None:
    """Print the table: medians over all rounds; the ratio is the median of those within a round."""
    title = f"{photos} photos of {long_side} pixels, one of 24 megapixels: {os.cpu_count()} CPUs"
    table = Table(box=SIMPLE_HEAD, title=title)
    table.add_column("contestant", no_wrap=True)
    for column in ("photos/s", "of the pool's", "CPU ms a photo\nits own", "\nAzurite's"):
        table.add_column(column, justify="right")
    base = next(iter(runs.values()))
    for contestant, found in runs.items():
        ratio = median(run.rate / other.rate for run, other in zip(found, base, strict=True))
        table.add_row(
            contestant,
            f"{median(run.rate for run in found):.1f}",
            "" if found is base else against_aim(f"{ratio:.2f}", f"≥{AIM}", ratio >= AIM),
            f"{median(run.worker for run in found) * 1000 / photos:.0f}",
            f"{median(run.azurite for run in found) * 1000 / photos:.0f}",
        )
    console.print(table)
    console.print("Where a figure has an aim, it is [green]green[/] if met, [yellow]yellow with a !![/] if missed.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when both made the same thumbnails, however fast."""
    parser = argparse.ArgumentParser(prog="python -m bench.photos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each works (default: 3)")
    parser.add_argument("--long-side", type=int, default=2400, help="pixels of most photos (default: 2400)")
    options = parser.parse_args(arguments or [])
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        with stack(logs=logs, host_log=logs / "host.log") as running:
            bench = Bench(running.connection_string, options.long_side)
            with process_pool(running.connection_string) as pool:
                runs, agree = measure_all(bench, pool, options.rounds, console)
    print_report(runs, len(bench.samples), options.long_side, console)
    if not agree:
        console.print("The thumbnails of the two are not the same.", style="red")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
