"""What a run asks of a store: requests and bytes, held to the formulas of docs/scale.md."""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from conftest import Deliveries, engine
from jobs import records, run

from pipeline import storage
from pipeline.storage.ranges import REQUEST_BYTES
from pipeline.storage.stores import configure
from tests.apparatus import stores, wire
from tests.apparatus.wire import Exchange, Wire

# The heads of a request and its answer.
HEAD_BYTES = 1200
# Of the Delta log: four times it is read, twice it is written; and what a run keeps beside it, of
# which 6 for the catalogue (its own is written; those of two runs are listed and read, twice).
LOG_REQUESTS, KEPT_REQUESTS = 72, 8 + 6
# The report reads the summary and the first dead letters; the page lists both, reads the summaries
# of the last runs (here two) and five files of dead letters at most, and is written.
REPORT_REQUESTS, PAGE_REQUESTS = 2, 2 + 2 + 2 + 1
# Round trips one after another of a run with little input.
NEW_TABLE_ROUNDS, ROUNDS = 72, 78


class Watched(NamedTuple):
    """A store whose requests are seen.

    Attributes:
        place: A folder in it.
        wire: What sees them.
        options: Beam's options that lead to it.
        read: Requests to read a range.
        write: Requests to write a file.
        copy: Requests to copy one; where the store cannot do it, its bytes come and go.
        deletes: How many files a request deletes.
        lists_folders: Whether each folder is a request of its own.
    """

    place: str
    wire: Wire
    options: list[str]
    read: int = 1
    write: int = 1
    copy: int = 1
    deletes: int = 1
    lists_folders: bool = False


@pytest.fixture(scope="module", params=["s3", "gcs", "hdfs"])
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """A store, to which this process and its jobs come by way of a proxy."""
    start = {"s3": stores.s3, "gcs": stores.gcs, "hdfs": stores.hdfs}[request.param]
    with engine(start, tmp_path_factory) as server, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_"))]:
            patch.delenv(name)
        if isinstance(server, stores.Hdfs):
            (port,) = [one for one in server.options if one.startswith("--hdfs_port=")]
            with wire.watching(int(port.partition("=")[2])) as seen:
                options = [*server.options, f"--hdfs_port={seen.port}"]
                configure(PipelineOptions(options))
                place = f"hdfs://{server.address}/events"
                yield Watched(place, seen, options, 3, 3, 6, 1, lists_folders=True)
        else:
            (name,) = [name for name in server.variables if name in ADDRESSES]
            address = server.variables[name].removeprefix("http://")
            host = address if request.param == "gcs" else ""
            with wire.watching(int(address.partition(":")[2]), host) as seen:
                ours = {**server.variables, name: f"http://127.0.0.1:{seen.port}"}
                for variable, value in ours.items():
                    patch.setenv(variable, value)
                configure(PipelineOptions([]))
                yield Watched(server.place, seen, [], deletes=1000 if request.param == "s3" else 1)
        configure(PipelineOptions([]))


ADDRESSES = ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST")


def matter(exchange: Exchange) -> str:
    """What an exchange is about."""
    target = unquote(exchange.target)
    signs = {
        "_delta_log": "log",
        "/temp/": "staged",
        "=temp/": "staged",
        "_eventsift/new": "new",
        "_eventsift": "kept",
        "domain=": "placed",
        "/first": "input",
        "/second": "input",
        "=first": "input",
        "=second": "input",
        "delete": "deleted",
    }
    return next((name for sign, name in signs.items() if sign in target), "table")


def test_requests_and_bytes(watched: Watched, deliveries: Deliveries) -> None:
    """Two deliveries, the second one into the table of the first one.

    With Beam's file systems 16 MiB were fetched for whatever was read, and to write a file took
    three requests: 18 times the bytes of an input of 272 MB, 33 times those of one of 817 MB.
    """
    place, root = watched.place, f"{watched.place}/table"
    for folder in deliveries:
        for path in folder.rglob("*"):
            if path.is_file():
                storage.write_bytes(f"{place}/{path.relative_to(folder.parent)}", path.read_bytes())
    for name in ("first", "second"):
        watched.wire.taken()
        done = run([f"{place}/{name}"], root, [f"--temp={place}/temp", *watched.options])
        passed = watched.wire.taken()
        assert (done.returncode, done.stderr) == (0, "")
        counts = records(root)[-1]["counts"]
        asked = wire.costs(passed, matter)
        told = "\n".join(f"{key}: {cost}" for key, cost in asked.items())
        print(name, told)
        _check_requests(watched, asked, counts)
        _check_bytes(watched, passed, counts)


@pytest.mark.parametrize("watched", ["s3"], indirect=True)
def test_waiting(watched: Watched, deliveries: Deliveries) -> None:
    """Where each request takes 30 ms, a run waits for few of them one after another.

    Seen to fail when each new file was waited for, when a log was listed for each question about
    it, and when the table was opened six times: 87 round trips.
    """
    place = watched.place
    small = sorted(deliveries.second.glob("*.jsonl"))[-1]
    storage.write_bytes(f"{place}/small/{small.name}", small.read_bytes())
    watched.wire.delay_seconds = 0.03
    try:
        for most in (NEW_TABLE_ROUNDS, ROUNDS):
            watched.wire.taken()
            done = run([f"{place}/small"], f"{place}/waiting", ["--rebuild", *watched.options])
            assert (done.returncode, done.stderr) == (0, "")
            passed = watched.wire.taken()
            assert wire.rounds(passed) <= most, "\n".join(map(str, sorted(passed)))
    finally:
        watched.wire.delay_seconds = 0.0


def _check_requests(
    watched: Watched, asked: dict[tuple[str, str], wire.Cost], counts: dict[str, int]
) -> None:
    """Linear in blocks, files written, live files, and pairs of a staged file and a group."""
    requests: dict[str, int] = {}
    for (name, _), cost in asked.items():
        requests[name] = requests.get(name, 0) + cost.requests
    blocks, files = counts["plan.blocks"], counts["commit.files"]
    read, write, copy = watched.read, watched.write, watched.copy
    pieces = counts["plan.files"] + blocks
    live, replaced = counts["plan.live_files"], counts["commit.replaced"]
    letters = counts["commit.dead_letter_files"]
    staged = 3 * blocks + letters + 2
    deletes = (staged + files + replaced) / watched.deletes + 3
    folders = 6 * (counts["commit.files"] + live + 10) if watched.lists_folders else 0
    most = {
        "input": read * (2 * pieces + counts["plan.bytes"] // REQUEST_BYTES) + 2 + folders,
        "staged": write * staged + read * (counts["read.slices"] + 2 * staged) + 2,
        "new": write * files + 3,
        "placed": copy * files + read * 3 * (live + replaced),
        "kept": (KEPT_REQUESTS + REPORT_REQUESTS + PAGE_REQUESTS) * max(read, write),
        "log": LOG_REQUESTS * read,
        "table": 4 + 4 * folders,
        "deleted": deletes,
    }
    for name, count in requests.items():
        spare = deletes if watched.deletes == 1 else 0  # each is about one of the others
        assert count <= most[name] + spare, (name, asked, counts)


def _check_bytes(watched: Watched, passed: Iterable[Exchange], counts: dict[str, int]) -> None:
    """At most 1.2 times the input, twice what is staged, and twice the table's new files."""
    written = {"staged": 0, "new": 0}
    moved = 0
    for exchange in passed:
        name = matter(exchange)
        if name in written and exchange.kind in ("PUT", "MULTIPART"):
            written[name] += exchange.up
        if name not in ("log", "placed") or exchange.kind == "COPY":
            moved += max(0, exchange.up + exchange.down - HEAD_BYTES)
    new = written["new"] * (1 if watched.copy == 1 else 2)
    assert moved <= 1.2 * counts["plan.bytes"] + 2 * written["staged"] + 2 * new
