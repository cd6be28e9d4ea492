"""Workers that die, and work that fails: the engine does it again, and nothing is doubled."""

import pathlib

import pytest
from conftest import Deliveries
from jobs import ROOT, Published, call, commands, publish, run
from test_conformance import loopback

from pipeline.table import delta
from pipeline.table.address import Table
from tests.apparatus.servers import Server

PROCESSES = "--experiments=use_loopback_process_worker=True"


@pytest.mark.parametrize("step", ["read", "write"])
@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_killed_worker(
    engine: str,
    step: str,
    request: pytest.FixtureRequest,
    deliveries: Deliveries,
    expected: tuple[Published, Published],
    tmp_path: pathlib.Path,
) -> None:
    """Design, invariant 5: a worker is killed in mid-stage; the engine goes on, the table is right.

    Seen to fail on Flink without apparatus/flink/conf, which asks for retries.
    """
    flag = tmp_path / "killed"
    kill = {"EVENTSIFT_TEST_KILL": f"{step}:{flag}"}
    two = {"flink": "--parallelism=2", "spark": "--sdk_worker_parallelism=2"}[engine]
    options = loopback(request.getfixturevalue(engine), two, PROCESSES)

    outcome = publish([deliveries.first], tmp_path / "table", options, kill)

    assert flag.exists()
    assert outcome == expected[0]


def test_killed_worker_on_prism(
    prism: pathlib.Path,
    deliveries: Deliveries,
    expected: tuple[Published, Published],
    tmp_path: pathlib.Path,
) -> None:
    """Prism does nothing again: the run fails and says so, nothing is published, the next is right.

    A worker that is killed while it writes has left files, which are not the next run's.
    """
    flag, root = tmp_path / "killed", tmp_path / "table"
    options = ["--runner=PrismRunner", f"--prism_location={prism}", PROCESSES]

    killed = run([deliveries.first], root, options, {"EVENTSIFT_TEST_KILL": f"write:{flag}"})

    assert flag.exists()
    assert (killed.returncode, killed.stdout) == (1, "")
    assert "SDK worker disconnected" in killed.stderr
    assert killed.stderr.endswith("\nNothing was published; the table is as it was.\n")
    assert killed.stderr.count("\n") == 2
    assert delta.load(Table(str(root))).version == -1
    assert publish([deliveries.first], root, options) == expected[0]


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
