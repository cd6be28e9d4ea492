"""Damaged files beside the table: named, set aside, and done without; the table stays right."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import compact
from pipeline.bookkeeping import ledger
from pipeline.verify import check as verify
from tests import commands, deliveries, tables
from tests.crashes import killed_at
from tests.deliveries import Event

FIRST = [Event("a", 0), Event("b", 1440)]
SECOND = [Event("a", 1), Event("c", 0)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of two runs; the second was killed after its commit."""
    base = tmp_path_factory.mktemp("prepared")
    deliveries.deliver(base / "in" / "1.jsonl", FIRST)
    assert commands.run(base / "table", base / "in") == 0
    deliveries.deliver(base / "in" / "2.jsonl", SECOND, "{broken")
    with killed_at(ledger, "extend"):
        commands.run(base / "table", base / "in")
    return base


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the table."""
    shutil.copytree(prepared / "table", tmp_path / "table")
    return tmp_path / "table"


def flip(path: Path) -> None:
    """Another bit in its middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def make_folder(path: Path) -> None:
    """A folder in its place, with something in it."""
    path.unlink()
    path.mkdir()
    (path / "x").touch()


def make_pipe(path: Path) -> None:
    """A pipe, which nobody ever writes to."""
    path.unlink()
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    """Larger than any memory, but only by its looks."""
    with open(path, "r+b") as file:
        file.truncate(1 << 40)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "text": lambda path: path.write_bytes(b"caf\xe9 \0"),
    "other-type": lambda path: path.write_bytes(b"[1, 2]"),
    "deep": lambda path: path.write_bytes(b"[" * 1_000_000),
    "folder": make_folder,
    "pipe": make_pipe,
    "huge": make_huge,
}
STATE = {
    "ledger": "_eventsift/ledger.arrow.zst",
    "summary": "_eventsift/runs/*.json",
    "lease": "_eventsift/alive/*",
    "journal": "_eventsift/temp/*/journal.json",
    "inputs": "_eventsift/temp/*/inputs.arrow.zst",
}


@pytest.mark.parametrize(
    ("states", "damage"),
    [
        *([tuple(STATE), damage] for damage in DAMAGES),
        *([(state,), "cut"] for state in STATE),
    ],
)
def test_damage_stops_no_run(
    root: Path,
    prepared: Path,
    states: tuple[str, ...],
    damage: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The run says in one line each what is damaged, and publishes nevertheless.

    Seen to fail: `UnicodeDecodeError`, `IsADirectoryError`, and a run that waited for ever.
    """
    paths = {state: next(root.glob(STATE[state])) for state in states}
    for path in paths.values():
        DAMAGES[damage](path)

    assert commands.run(root, prepared / "in") == 0

    expected = deliveries.latest([*FIRST, *SECOND])
    assert tables.delta_rows(root) == tables.plain_rows(root) == expected
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("eventsift:")]
    # An earlier run's summary is not read; a lease is needed only for a staging folder elsewhere;
    # the list of inputs is known by a journal only, and the journal where the lease says who died.
    told = {"ledger": "ledger.arrow.zst"}
    if "lease" not in states or damage not in ("folder", "pipe"):
        told["journal"] = "its journal is damaged"
    if "journal" not in states:
        told["inputs"] = "inputs.arrow.zst"
    for words in [words for state, words in told.items() if state in states]:
        assert len([line for line in lines if words in line]) == 1
    assert len(lines) <= len(states)
    # And what was set aside does not come up again.
    assert commands.run(root, prepared / "in") == 0
    assert capfd.readouterr().err == ""
    assert tables.recorded(root) == ["1.jsonl", "2.jsonl"]


@pytest.mark.parametrize("seed", range(3))
def test_any_damage_to_several_files(root: Path, prepared: Path, seed: int) -> None:
    """Random bytes in all of them at once."""
    chance = random.Random(seed)
    for path in sorted((root / "_eventsift").rglob("*")):
        if path.is_file():
            content = bytearray(path.read_bytes())
            for _ in range(chance.randint(1, 9)):
                content[chance.randrange(len(content)) if content else 0 :][:1] = b""
                if content:
                    content[chance.randrange(len(content))] = chance.randrange(256)
            path.write_bytes(content)

    assert commands.run(root, prepared / "in") == 0

    expected = deliveries.latest([*FIRST, *SECOND])
    assert tables.delta_rows(root) == tables.plain_rows(root) == expected
    assert tables.recorded(root) == ["1.jsonl", "2.jsonl"]


@pytest.mark.parametrize("names", [[""], ["/runs", "/alive", "/temp", "/new", "/rejects"]])
def test_a_file_in_a_folders_place(
    prepared: Path, root: Path, names: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """It is set aside, too: the run needs the folder."""
    folders = [root / f"_eventsift{name}" for name in names]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("a file")

    assert commands.run(root, prepared / "in") == 0

    said = capfd.readouterr().err
    assert all(f"{folder.name}.damaged-" in said for folder in folders)
    expected = deliveries.latest([*FIRST, *SECOND])
    assert tables.delta_rows(root) == tables.plain_rows(root) == expected


def test_a_damaged_summary_of_a_dead_run_is_made_again(root: Path, prepared: Path) -> None:
    """Killed while the summary was being written to a disk that lost it: the journal has it."""
    (journal,) = root.glob("_eventsift/temp/*/journal.json")
    summary = root / "_eventsift/runs" / f"{journal.parent.name}.json"
    summary.write_text('{"run":')

    assert commands.run(root, prepared / "in") == 0

    assert f'"run": "{summary.stem}"' in summary.read_text()
    assert (root / "_eventsift/rejects" / f"{summary.stem}.jsonl").exists()


@pytest.mark.parametrize("command", ["run", "compact", "verify"])
@pytest.mark.parametrize("damage", ["cut", "text", "folder", "pipe"])
def test_a_damaged_log_is_named_with_the_way_out(
    root: Path, prepared: Path, damage: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The table cannot be known without it, so nothing is done; the message helps.

    Seen to fail: waited for ever at the pipe, and named no file but the frames of a stack.
    """
    damaged = sorted(root.glob("_delta_log/*.json"))[-1]
    DAMAGES[damage](damaged)

    if command == "run":
        assert commands.run(root, prepared / "in") == 1
    else:
        main = {"compact": compact.main, "verify": verify.main}[command]
        assert main(["--output", str(root)]) == 1

    said = capfd.readouterr().err
    assert str(damaged) in said
    assert "backup" in said
    assert "unknown" not in said
    assert "Traceback" not in said
