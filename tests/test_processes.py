import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import processes

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Processes that a test has started early, and not taken, end with it."""
    yield
    if processes._early:
        processes._early.shutdown()
    processes._early = None


def test_there_is_a_core() -> None:
    """By default a step uses the cores this process may run on."""
    assert 1 <= processes.available() <= (os.cpu_count() or 1)


def test_processes_started_early_work_once() -> None:
    """Who takes them shuts them down; the next one gets others."""
    processes.start_early(2)
    early = processes._early

    with processes.pool(2) as first, processes.pool(2) as second:
        assert first is early
        assert second is not early
        assert os.getpid() not in {pool.submit(os.getpid).result() for pool in (first, second)}


def test_they_need_no_beam_and_no_pandas() -> None:
    """What they import starts in a fraction of the time that these would take each of them.

    Seen to fail while the function that they call first was in `cores`, and without `prepare`
    (pyarrow imports pandas with the first array made of a list).
    """
    program = (
        "import sys, pyarrow, pipeline.processes, pipeline.read, pipeline.scan\n"
        "pipeline.processes._begin()\n"
        "pyarrow.array(['a'])\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    modules = set(done.stdout.split())
    assert "pipeline.scan" in modules
    assert not modules & {"apache_beam", "pandas", "pymongo"}
