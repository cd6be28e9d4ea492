"""What a run would take: events, time, room and memory, from earlier runs and from the beginnings.

All of it is an estimate. docs/speed.md and docs/scale.md have what the constants come from.
"""

import os
import shutil
from collections.abc import Sequence

from pipeline import storage
from pipeline.bookkeeping.summary import RunSummary
from pipeline.preview.beginnings import Beginning
from pipeline.preview.facts import Expected

# What is staged, and what the table grows by, as shares of the content that is read.
_STAGED_SHARE = 0.68
_TABLE_SHARE = 0.17
# A second and core, where no run is there to go by; and what a run takes however little it reads.
_BYTES_PER_SECOND = 25e6
_LEAST_SECONDS = 1.0
# Runs on less than this say more of the start than of the work.
_TELLING_BYTES = 5_000_000
# Of each process, and what grows with the content.
_PROCESS_BYTES = 200 << 20
_MEMORY_SHARE = 0.12


def expected(
    files: Sequence[storage.FileInfo],
    beginnings: Sequence[Beginning],
    runs: Sequence[RunSummary],
    temp: str,
    workers: int,
) -> Expected:
    """Returns what a run would take.

    Args:
        files: The files to read.
        beginnings: The beginnings of some of them.
        runs: Earlier runs.
        temp: The folder for what is staged.
        workers: Cores that each step uses by itself; 0 if an engine spreads the work.
    """
    stored = sum(file.bytes for file in files)
    content = int(stored * _expansion(beginnings))
    records = sum(len(one.table) + len(one.rejects) for one in beginnings)
    looked_at = sum(one.content_bytes for one in beginnings)
    rates = [run.bytes / run.wall_seconds for run in runs if _is_telling(run)]
    rate = _median(rates) if rates else _BYTES_PER_SECOND * max(1, workers)
    size = stored if rates else content
    return Expected(
        events=round(content * records / looked_at) if records else None,
        seconds=max(_LEAST_SECONDS, size / rate) if workers and files else None,
        like_runs=len(rates),
        workers=workers,
        temp=temp,
        temp_bytes=int(_STAGED_SHARE * content),
        temp_free=free(temp),
        table_bytes=int(_TABLE_SHARE * content),
        memory_bytes=(
            int((1 + workers) * _PROCESS_BYTES + _MEMORY_SHARE * content) if workers else None
        ),
    )


def _expansion(beginnings: Sequence[Beginning]) -> float:
    """Returns how many bytes of content a stored byte becomes."""
    stored = sum(one.stored_bytes for one in beginnings)
    return sum(one.content_bytes for one in beginnings) / stored if stored else 1.0


def _is_telling(run: RunSummary) -> bool:
    """Tells whether a run's time says how long another one will take."""
    return run.bytes >= _TELLING_BYTES and run.wall_seconds > 0


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def free(folder: str) -> int | None:
    """Returns how much room there is in a folder that is or will be there; None if unknown."""
    if not storage.is_local(folder):
        return None
    path = storage.local(folder)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free
