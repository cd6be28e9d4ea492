"""Workers that die, and work that fails: the engine does it again, and nothing is doubled."""

import pathlib

import pytest
from conftest import Deliveries
from jobs import ROOT, Published, call, commands, publish, run
from test_conformance import loopback

from engines.servers import Server

PROCESSES = "--experiments=use_loopback_process_worker=True"


@pytest.mark.parametrize("step", ["read", "write"])
def test_killed_worker_on_flink(
    step: str,
    flink: Server,
    deliveries: Deliveries,
    expected: tuple[Published, Published],
    tmp_path: pathlib.Path,
) -> None:
    """Design, invariant 5: a worker is killed in mid-stage; Flink goes on, the table is right.

    Seen to fail without engines/flink/conf, which asks for retries.
    """
    flag = tmp_path / "killed"
    kill = {"EVENTSIFT_TEST_KILL": f"{step}:{flag}"}

    outcome = publish(
        [deliveries.first],
        tmp_path / "table",
        loopback(flink, "--parallelism=2", PROCESSES),
        kill,
    )

    assert flag.exists()
    assert outcome == expected[0]


@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_failure_is_one_sentence(
    engine: str, request: pytest.FixtureRequest, deliveries: Deliveries, tmp_path: pathlib.Path
) -> None:
    """What a worker raises far away is told as one sentence, as it is on the local runner."""
    server = request.getfixturevalue(engine)

    done = run([deliveries.first], tmp_path / "table", loopback(server, "--max-partitions=2"))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "eventsift: nothing was published: the run has 10 partitions, the limit is 2;"
        " raise it with --max-partitions\n"
        "Nothing was published; the table is as it was.\n"
    )


def test_documented_command(flink: Server, deliveries: Deliveries, tmp_path: pathlib.Path) -> None:
    """The page's command for an engine on this machine works, but for places and the port."""
    command = commands(ROOT / "docs" / "flink.md")[0]
    ours = {
        "--input=in/*.jsonl": f"--input={deliveries.second}",
        "--output=out": f"--output={tmp_path / 'table'}",
        "--job_endpoint=localhost:8099": f"--job_endpoint={flink.address}",
    }
    assert set(ours) <= set(command)

    done = call([ours.get(argument, argument) for argument in command])

    assert (done.returncode, done.stderr) == (0, "")
