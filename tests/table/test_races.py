"""Processes that commit at the same moment."""

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.table import commits, datafiles, delta, settling
from pipeline.table.address import Table
from tests.table.tables import assert_settled, publish, write_file

ROUNDS = 10
_barrier: Any = None


def _start_racer(barrier: Any) -> None:
    global _barrier
    _barrier = barrier
    delta.load(Table("/nonexistent"))  # imports and threads are up before the race begins


def _race(root: str, run_id: str, remove: bool) -> int | None:
    """Read, write, wait for the other, commit; None is a conflict."""
    snapshot = delta.load(Table(root))
    add = [write_file(root, run_id, "0", {"a": 1})]
    _barrier.wait(30)
    try:
        return commits.commit(
            Table(root), snapshot.version, run_id, add, snapshot.files if remove else []
        )
    except datafiles.ConflictError:
        return None


def _count(root: str, name: str, runs: int) -> int:
    """Runs that each add one to the number in a row, and start again after a conflict."""
    conflicts = 0
    _barrier.wait(30)
    for number in range(runs):
        for attempt in range(1000):
            snapshot = settling.settle(Table(root))
            run_id = f"{name}.{number}.{attempt}"
            try:
                count = 0
                for live in snapshot.files:
                    path = storage.join(root, live.path)
                    count = int(pq.read_table(path, partitioning=None)["data"][0].as_py())
                add = [write_file(root, run_id, "0", {"a": count + 1})]
                commits.commit(Table(root), snapshot.version, run_id, add, snapshot.files)
            except (datafiles.ConflictError, FileNotFoundError):
                conflicts += 1
                continue
            settling.settle(Table(root))
            break
    return conflicts


@pytest.fixture(scope="module")
def racers() -> Iterator[ProcessPoolExecutor]:
    """Two processes that wait for each other."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    with ProcessPoolExecutor(2, context, _start_racer, (barrier,)) as pool:
        yield pool


class TestRaces:
    @pytest.mark.parametrize("case", ["create", "append", "replace"])
    def test_of_two_runs_from_one_snapshot_one_wins(
        self, root: str, racers: ProcessPoolExecutor, case: str
    ) -> None:
        """Two processes at once: never two winners, never none, never a row twice or lost."""
        for number in range(ROUNDS):
            if case == "create":
                shutil.rmtree(root, ignore_errors=True)
            elif number == 0:
                publish(root, "r1", {"a": 0})
            before = delta.load(Table(root))
            results = [
                future.result(60)
                for future in [
                    racers.submit(_race, root, f"{side}{number}", case == "replace")
                    for side in ("left", "right")
                ]
            ]
            assert sorted(results, key=str) == [before.version + 1, None]
            after = delta.load(Table(root))
            assert after.version == before.version + 1
            added = {file.path for file in after.files} - {file.path for file in before.files}
            assert len(added) == 1
            assert len(after.files) == (1 if case == "replace" else len(before.files) + 1)

    def test_runs_that_start_again_after_a_conflict_lose_no_update(
        self, root: str, racers: ProcessPoolExecutor
    ) -> None:
        """Two processes count to 20 in one row, settling the table under each other."""
        counting = [racers.submit(_count, root, name, 10) for name in ("left", "right")]
        for future in counting:
            future.result(120)
        settling.settle(Table(root))
        for file in storage.list_files(f"{root}/{datafiles.NEW_FOLDER}"):
            os.utime(file.path, (1, 1))  # what lost a race was never published
        settling.settle(Table(root))
        assert_settled(root, [("a", 20, "account")])
