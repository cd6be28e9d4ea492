"""A small delivery into a table of many files: what it costs for each of them."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import commands, deliveries, tables
from tests.deliveries import Event
from tests.forks import in_fork

FILES = 60
OLD = [Event(f"e{n}", n, event_type=f"type-{n:02}") for n in range(FILES)]
# A later version, an earlier one, and a new event.
NEWS = [
    Event("e3", 500, 2, "type-03"),
    Event("e7", 0, 3, "type-07"),
    Event("x", 1, event_type="type-05"),
]


def run_watched(base: Path) -> None:
    """The run of the news, in a process that notes what Python opens and lists."""
    with (base / "notes.txt").open("w") as notes:

        def note(event: str, arguments: tuple[Any, ...]) -> None:
            # What opens a file by way of an opener is told twice, the second time without a mode.
            if event == "os.scandir" or (event == "open" and arguments[1] is None):
                print(event, arguments[0], file=notes)

        sys.addaudithook(note)
        commands.run(base / "table", base / "in")
        notes.flush()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Counter[tuple[str, str]]:
    """How often the run of the news did what with which file or folder of the partitions."""
    base = tmp_path_factory.mktemp("many")
    deliveries.deliver(base / "in" / "old.jsonl", OLD)
    commands.run_here(base / "in", base / "table")
    assert len(tables.data_files(base / "table")) == FILES
    deliveries.deliver(base / "in" / "news.jsonl", NEWS)
    assert in_fork(run_watched, base) == 0
    assert tables.delta_rows(base / "table") == deliveries.latest([*OLD, *NEWS])
    assert tables.newest_summary(base / "table")["table"]["files_written"] == 2
    lines = (base / "notes.txt").read_text().splitlines()
    seen = Counter(tuple(line.split(" ", 1)) for line in lines if "/domain=" in line)
    return Counter({(event, path): count for (event, path), count in seen.items()})


def test_each_live_file_is_opened_once(watched: Counter[tuple[str, str]]) -> None:
    """It is scanned; only what is written anew is opened again.

    Seen to fail with a second look into each file for its size.
    """
    opened = sorted(
        count for (event, path), count in watched.items() if event == "open" and ".parquet" in path
    )
    assert len(opened) == FILES
    assert opened[: FILES - 2] == [1] * (FILES - 2)
    assert opened[-1] == 2


def test_folders_are_listed_a_few_times(watched: Counter[tuple[str, str]]) -> None:
    """To see what is there, and what is empty: when a run begins, and when it has committed.

    Seen to fail with the table listed once more for its size.
    """
    listed = [count for (event, _), count in watched.items() if event == "os.scandir"]
    assert len(listed) > 4 * FILES
    assert max(listed) == 4
