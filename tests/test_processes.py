"""The worker processes: started once, shared by all steps, ended with what waits for them."""

import contextlib
import os
import signal
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline import processes
from pipeline.graph import cores
from tests.commands import script


def test_there_is_a_core() -> None:
    """By default a step uses the cores this process may run on."""
    assert 1 <= processes.available() <= (os.cpu_count() or 1)


def test_all_steps_share_them() -> None:
    """They are started once, and again after they were ended."""
    processes.start(2)
    first = processes.running()
    processes.start(2)
    assert processes.running() is first is not None
    assert first.submit(os.getpid).result() != os.getpid()

    processes.stop()
    processes.stop()

    assert processes.running() is None
    processes.start(1)
    second = processes.running()
    assert second is not first
    assert second is not None
    assert second.submit(os.getpid).result() != os.getpid()


class _OneKilled(ProcessPoolExecutor):
    """Processes of which the first is killed as soon as it is there."""

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        first = not self._processes
        call = super().submit(*arguments, **options)
        if first:
            for process in self._processes.values():
                process.kill()
            with pytest.raises(BrokenProcessPool):
                call.result(timeout=60)
        return call


def test_one_that_is_killed_at_once_breaks_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting is not where a run expects it: the first step that gives them work is told.

    Seen to fail: a signal to all processes of a run that was starting gave a traceback.
    """
    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", _OneKilled)

    processes.start(2)

    calls = [partial(os.getpid)] * 2
    with pytest.raises(BrokenProcessPool):
        list(cores._results(calls, 2, processes.running()))
    assert processes.running() is None  # a retry gets new ones


def _kill_the_first() -> None:
    """Kills the first process of this one's that is starting to work."""
    while True:
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):
                for child in (task / "children").read_text().split():
                    if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                        os.kill(int(child), signal.SIGKILL)
                        return


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_one_that_is_killed_while_another_starts_stops_nothing() -> None:
    """Seen to fail: within 40 rounds Python waited for ever for the one that was being started."""
    for _ in range(40):
        killing = threading.Thread(target=_kill_the_first)
        killing.start()
        processes.start(2)
        killing.join()
        running = processes.running()
        assert running is not None
        with contextlib.suppress(BrokenProcessPool):  # nobody may know of it yet
            running.submit(os.getpid).result()
        processes.stop()


def test_what_waits_is_cancelled_when_they_end(tmp_path: Path) -> None:
    """A run that fails does not wait for all that it had asked for, and nobody goes on writing.

    Seen to fail without `cancel_futures`.
    """
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    processes.start(1)
    running = processes.running()
    assert running
    calls = [running.submit(gate.read_bytes), *(running.submit(os.getpid) for _ in range(50))]

    while not calls[0].running():  # else it would be cancelled, too, and nobody open the gate
        time.sleep(0.001)
    stopping = threading.Thread(target=processes.stop)
    stopping.start()
    try:
        with pytest.raises(CancelledError):  # while the first call is at work
            calls[-1].result(timeout=60)
    finally:
        gate.write_bytes(b"done")
        stopping.join()

    assert calls[0].result() == b"done"
    assert all(call.done() for call in calls)
    assert sum(call.cancelled() for call in calls) > 40


def test_they_need_no_beam_and_no_pandas() -> None:
    """What they import starts in a fraction of the time that these would take each of them.

    Seen to fail while the function that they call first was in `cores`, and without
    `leave_out_unused` (pyarrow imports pandas with the first array made of a list).
    """
    program = (
        "import sys, pyarrow, pipeline.processes\n"
        "import pipeline.steps.read, pipeline.steps.scan, pipeline.steps.write\n"
        "pipeline.processes._begin()\n"
        "pyarrow.array(['a'])\n"
        "print(*sys.modules)"
    )
    done = script(program)
    assert done.err == ""
    modules = set(done.out.split())
    assert "pipeline.steps.scan" in modules
    assert not modules & {"apache_beam", "deltalake", "pandas", "pymongo"}
