"""The same command on every engine gives the same table.

Each runs two deliveries, the second of which supersedes events of the first, in a dozen blocks and
buckets; what it publishes is held against what the default local runner publishes.
"""

import pathlib
from collections.abc import Sequence

from conftest import Deliveries
from jobs import Published, publish

from engines.servers import Server


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


def test_prism(
    prism: pathlib.Path, deliveries: Deliveries, expected: list[Published], tmp_path: pathlib.Path
) -> None:
    """Prism, Beam's portable local runner."""
    options = ["--runner=PrismRunner", f"--prism_location={prism}"]

    assert _both(deliveries, tmp_path / "table", options) == list(expected)


def test_flink(
    flink: Server, deliveries: Deliveries, expected: list[Published], tmp_path: pathlib.Path
) -> None:
    """Flink, with two slots and a pool of worker processes on the job's side."""
    options = loopback(flink, "--parallelism=2", "--experiments=use_loopback_process_worker=True")

    assert _both(deliveries, tmp_path / "table", options) == list(expected), flink.last_words()


def test_spark(
    spark: Server, deliveries: Deliveries, expected: list[Published], tmp_path: pathlib.Path
) -> None:
    """Spark, with two slots."""
    options = loopback(spark, "--sdk_worker_parallelism=2")

    assert _both(deliveries, tmp_path / "table", options) == list(expected), spark.last_words()
