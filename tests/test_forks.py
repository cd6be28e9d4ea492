"""The server that processes of tests are forked from."""

import os
import sys
from pathlib import Path

import pytest

from tests.forks import in_fork


def _threads_of_server(folder: Path) -> None:
    names = [
        (task / "comm").read_text().strip() for task in Path(f"/proc/{os.getppid()}/task").iterdir()
    ]
    (folder / "threads").write_text("\n".join(names))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_it_has_one_thread(tmp_path: Path) -> None:
    """Locks of other threads would be copied in any state, and a fork might wait for ever.

    Seen to fail: two allocators and numpy had threads; a whole test run did not end.
    """
    assert in_fork(_threads_of_server, tmp_path) == 0
    assert len((tmp_path / "threads").read_text().split("\n")) == 1
