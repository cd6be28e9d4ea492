"""What the tests on engines share: two deliveries, what the local runner makes of them, engines."""

import contextlib
import gzip
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import pytest
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError
from jobs import Published, publish

from generator.__main__ import main as generate
from pipeline.table import commits, delta
from pipeline.table.address import Table
from tests.apparatus import install, job_servers
from tests.apparatus.servers import Server

T = TypeVar("T")


class Deliveries(NamedTuple):
    """Two deliveries; the second one repeats events of the first."""

    first: pathlib.Path
    second: pathlib.Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test here: they need more than Python."""
    here = pathlib.Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engines)


@pytest.fixture(scope="session")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Deliveries:
    """About 9 MB in all framings, with every fault that the generator knows, and broken files.

    One type on one day is two thirds of it: it is written in several shards, and merged again.
    """
    folder = tmp_path_factory.mktemp("deliveries")
    first, second = folder / "first", folder / "second"
    plain = ["--files", "2", "--types", "3", "--days", "3", "--extra", "0.1", "--broken", "0.02"]
    _generate(first, "--events", "6000", "--seed", "1", *plain)
    for seed, framing in enumerate(("array", "pretty", "concatenated"), start=2):
        _generate(
            first / framing, "--events", "600", "--seed", str(seed), "--framing", framing,
            "--compression", "gzip", "--bom", *plain,
        )  # fmt: skip
    hot = ["--files", "2", "--types", "1", "--days", "1"]
    _generate(first / "hot", "--events", "12000", "--seed", "5", *hot)
    known = ["--known-ids", "4000", "--first-file", "10", "--duplicates", "0.5"]
    _generate(second, "--events", "3000", "--seed", "1", *plain, *known)
    again = ["--known-ids", "10000", "--first-file", "10", "--duplicates", "0.3"]
    _generate(second / "hot", "--events", "8000", "--seed", "5", *hot, *again)

    line = b'{"event_id":"%s","timestamp":"2021-01-02T03:04:05","domain":"\xc3\xa4/..","event_type":"%%2F","data":{"n":1.10}}\n'  # noqa: E501
    (first / "odd names.jsonl").write_bytes(line % b"odd" + b"\xff\xfe\n" + b"[" * 5000 + b"\n")
    (first / "empty.jsonl").write_bytes(b"")
    whole = gzip.compress(b"".join(line % str(n).encode() for n in range(200)))
    (first / "cut short.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    return Deliveries(first, second)


def _generate(folder: pathlib.Path, *options: str) -> None:
    assert generate([*options, "--output", str(folder)]) in (0, None)


@pytest.fixture(scope="session")
def expected(
    deliveries: Deliveries, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Published, Published]:
    """What the default local runner makes of the two deliveries."""
    root = tmp_path_factory.mktemp("local") / "table"
    runs = publish([deliveries.first], root), publish([deliveries.second], root)
    assert runs[0].findings == runs[1].findings == []
    assert [max(map(len, run.layout.values())) for run in runs] == [3, 5]
    assert runs[0].digest != runs[1].digest
    return runs


@contextlib.contextmanager
def engine(
    start: Callable[[pathlib.Path], contextlib.AbstractContextManager[T]],
    folders: pytest.TempPathFactory,
) -> Iterator[T]:
    """What `start` starts; the test is skipped with the reason where it is not to be had."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(start(folders.mktemp(start.__name__)))
        except install.MissingError as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Flink 1.19."""
    with engine(job_servers.flink, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def flink_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Flink 1.19 of several processes."""
    with engine(job_servers.flink_session, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Spark 3.5."""
    with engine(job_servers.spark, tmp_path_factory) as server:
        yield server


def go_program(package: str) -> pathlib.Path:
    """A program in Go; the test is skipped with the reason where it is not to be had."""
    try:
        return install.go_program(package)
    except install.MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def prism() -> pathlib.Path:
    """The program."""
    return go_program(install.PRISM)


def moved(outcome: Published, deliveries: Deliveries, place: str) -> Published:
    """What is expected, with the names that the delivered files have at another place."""
    folder = str(deliveries.first.parent)
    letters = [(file.replace(folder, place), *more) for file, *more in outcome.dead_letters]
    return outcome._replace(dead_letters=sorted(letters))


def refuses_second_commit(root: str, options: dict[str, str]) -> None:
    """Commits twice on top of the table's newest version: the store must take only the first."""
    ours, theirs = (DeltaTable(root, storage_options=options) for _ in range(2))
    removed = commits._remove_action(delta.load(Table(root, options)).files[0], 0, data_change=True)
    once = CommitProperties(max_commit_retries=0)
    commits._write(ours, [removed], once)
    with pytest.raises(CommitFailedError):
        commits._write(theirs, [removed], once)
