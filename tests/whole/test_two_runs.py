"""Two runs at once, in processes of their own: no row is lost or doubled, no file of a live run."""

import os
import signal
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pipeline.steps import write
from pipeline.table.datafiles import LEASES_FOLDER
from tests import commands, deliveries, tables
from tests.commands import TIMEOUT_SECONDS, environment
from tests.deliveries import Event
from tests.forks import FORKS, SECONDS, ended, in_fork, start

ROUNDS = int(os.environ.get("EVENTSIFT_ROUNDS", "3"))

OLD = [Event(f"e{number}", number * 300, number) for number in range(12)]
ONE = [Event(f"e{number}", number * 300 + 5, number, "closed") for number in range(0, 12, 2)]
TWO = [Event(f"e{number}", number * 300 + 4, -number, "closed") for number in range(0, 12, 3)]


def run(root: Path, inputs: Path, output: Path, gate: Barrier | None, *options: str) -> None:
    """A process with one run; waits for the others at the gate."""
    sys.stdout = sys.stderr = open(output, "w")  # noqa: SIM115 (until it ends)
    if gate:
        gate.wait(SECONDS)
    code = commands.run(root, inputs, *options)
    sys.stdout.flush()
    os._exit(code)


@pytest.mark.slow
@pytest.mark.parametrize("same", [True, False], ids=["same-files", "different-files"])
@pytest.mark.parametrize("new", [True, False], ids=["new-table", "existing-table"])
@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_two_at_once(tmp_path: Path, same: bool, new: bool, attempt: int) -> None:
    """Both finish right; or one says that it was too late, changes nothing, and can be repeated.

    What an attempt has left that was too late may have to wait for the other run's end: then the
    next run removes it.
    """
    root, old = tmp_path / "table", deliveries.deliver(tmp_path / "old.jsonl", OLD)
    one = deliveries.deliver(tmp_path / "one.jsonl", ONE)
    two = one if same else deliveries.deliver(tmp_path / "two.jsonl", TWO)
    if not new:
        assert in_fork(run, root, old, tmp_path / "first.txt", None) == 0

    gate = FORKS.Barrier(2)
    outputs = [tmp_path / "one.txt", tmp_path / "two.txt"]
    elsewhere = ("--temp", str(tmp_path / "temp"))
    both = [
        start(run, root, one, outputs[0], gate),
        start(run, root, two, outputs[1], gate, *elsewhere),
    ]
    codes = [ended(process) for process in both]

    for code, output, inputs in zip(codes, outputs, (one, two), strict=True):
        if code:
            assert "run again" in output.read_text()
            assert in_fork(run, root, inputs, output, None) == 0
    expected = deliveries.latest([*([] if new else OLD), *ONE, *([] if same else TWO)])
    assert tables.delta_rows(root) == expected
    assert tables.plain_rows(root) == expected
    assert {os.path.dirname(path) for path in tables.strays(root)} <= {LEASES_FOLDER}
    assert not [path for path in (tmp_path / "temp").rglob("*") if path.is_file()]
    assert in_fork(run, root, one, tmp_path / "third.txt", None) == 0
    assert tables.strays(root) == []


def waiting_run(root: Path, inputs: Path, output: Path, there: Flag, go: Flag, temp: str) -> None:
    """A process whose run stops for a while when it has written its first shard."""
    write_shard = write.write_shard

    def slow(*arguments: Any) -> tuple[write.Written, float]:
        written = write_shard(*arguments)
        there.set()
        go.wait(SECONDS)
        return written

    with mock.patch.object(write, "write_shard", slow):
        run(root, inputs, output, None, "--temp", temp)


def test_a_live_run_keeps_its_files(tmp_path: Path) -> None:
    """Others clear up what dead runs have left, nothing else; what was overtaken starts again.

    Seen to fail with `leases.dead` taking every lease for a dead run's.
    """
    root, temp = tmp_path / "table", tmp_path / "temp"
    one, two = (
        deliveries.deliver(tmp_path / "one.jsonl", ONE),
        deliveries.deliver(tmp_path / "two.jsonl", TWO),
    )
    old = deliveries.deliver(tmp_path / "old.jsonl", OLD)
    assert in_fork(run, root, old, tmp_path / "first.txt", None) == 0
    there, go = FORKS.Event(), FORKS.Event()
    slow = start(waiting_run, root, one, tmp_path / "slow.txt", there, go, str(temp))
    assert there.wait(SECONDS)
    before = unpublished(root, temp)

    assert in_fork(run, root, two, tmp_path / "quick.txt", None) == 0
    after = unpublished(root, temp)
    go.set()

    assert ended(slow) == 0, (tmp_path / "slow.txt").read_text()
    assert before == after != []
    assert "another run was faster" in (tmp_path / "slow.txt").read_text()
    assert tables.delta_rows(root) == deliveries.latest([*OLD, *ONE, *TWO])
    assert tables.plain_rows(root) == deliveries.latest([*OLD, *ONE, *TWO])
    assert tables.strays(root) == []
    assert unpublished(root, temp) == []


def unpublished(root: Path, temp: Path) -> list[Path]:
    """The files that runs have staged or written, but not committed."""
    folders = (root / "_eventsift" / "new", temp)
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def test_workers_end_with_a_killed_run(tmp_path: Path) -> None:
    """A worker left alone would wait for ever, or write beside the next run.

    Seen to fail (by its time limit) without `processes._begin`.
    """
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from pipeline import processes\n"
        "from pipeline.graph import cores\n"
        "def meet(folder):\n"
        "    (folder / str(os.getpid())).touch()\n"
        "    while len(list(folder.iterdir())) < 2:\n"
        "        time.sleep(0.01)\n"
        "if __name__ == '__main__':\n"
        "    folder = Path(sys.argv[1])\n"
        "    processes.start(2)\n"
        "    results = cores._results([partial(meet, folder)] * 2, 2, processes.running())\n"
        "    next(results)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = tmp_path / "met"
    folder.mkdir()

    # The workers hold the pipe open: it ends when the last of them has ended.
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env=environment(),
        stdout=subprocess.PIPE,
        timeout=TIMEOUT_SECONDS,
    )

    assert done.returncode == -signal.SIGKILL
