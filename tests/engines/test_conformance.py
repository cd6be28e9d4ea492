"""The same command on every engine gives the same table.

Each runs two deliveries, the second of which supersedes events of the first, in some dozen blocks
and buckets, with one type and day that is several shards; what it publishes is held against what
the default local runner publishes.
"""

import pathlib
from collections.abc import Sequence

import pytest
from conftest import Deliveries
from jobs import ROOT, Published, commands, environment, publish

from tests.apparatus import job_servers
from tests.apparatus.servers import Server


def _both(deliveries: Deliveries, root: pathlib.Path, options: Sequence[str]) -> list[Published]:
    return [publish([delivery], root, options) for delivery in deliveries]


def loopback(server: Server, *options: str) -> list[str]:
    """The options for a job server whose Python workers run in the job's own process."""
    endpoint = f"--job_endpoint={server.address}"
    return ["--runner=PortableRunner", endpoint, "--environment_type=LOOPBACK", *options]


def test_worker_processes(
    deliveries: Deliveries, expected: list[Published], tmp_path: pathlib.Path
) -> None:
    """Beam's local runner with worker processes: elements and functions survive pickling."""
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]

    assert _both(deliveries, tmp_path / "table", options) == list(expected)


@pytest.mark.parametrize("workers", [(), ("--workers=0",)], ids=["all cores", "one worker"])
def test_prism(
    workers: Sequence[str],
    prism: pathlib.Path,
    deliveries: Deliveries,
    expected: list[Published],
    tmp_path: pathlib.Path,
) -> None:
    """Prism, Beam's portable local runner; versions are stored, or travel through it."""
    options = ["--runner=PrismRunner", f"--prism_location={prism}", *workers]

    assert _both(deliveries, tmp_path / "table", options) == list(expected)


@pytest.mark.parametrize(
    "workers", [(), ("--experiments=use_loopback_process_worker=True",)], ids=["ours", "Beam's"]
)
def test_flink(
    workers: Sequence[str],
    flink: Server,
    deliveries: Deliveries,
    expected: list[Published],
    tmp_path: pathlib.Path,
) -> None:
    """Flink, with two slots and processes on the job's side: the job's own, or Beam's workers."""
    options = loopback(flink, "--parallelism=2", *workers)

    assert _both(deliveries, tmp_path / "table", options) == list(expected), flink.last_words()


def test_flink_session(
    flink_session: Server,
    deliveries: Deliveries,
    expected: list[Published],
    tmp_path: pathlib.Path,
) -> None:
    """Flink as a cluster of processes, with a pool of Python workers: the page's command for it."""
    _, command = commands(ROOT / "docs" / "flink.md")
    with job_servers.worker_pool(tmp_path, environment()) as pool:
        ours = {
            "--job_endpoint=localhost:8099": f"--job_endpoint={flink_session.address}",
            "--environment_config=localhost:50000": f"--environment_config={pool.address}",
        }
        assert {*ours, "--input=/data/in/*.jsonl", "--output=/data/out"} <= set(command)
        options = [
            ours.get(argument, argument)
            for argument in command
            if not argument.startswith(("--input=", "--output="))
        ]

        outcomes = _both(deliveries, tmp_path / "table", options)

    assert outcomes == list(expected), flink_session.last_words()


def test_spark(
    spark: Server, deliveries: Deliveries, expected: list[Published], tmp_path: pathlib.Path
) -> None:
    """Spark, with two slots."""
    options = loopback(spark, "--sdk_worker_parallelism=2")

    assert _both(deliveries, tmp_path / "table", options) == list(expected), spark.last_words()
