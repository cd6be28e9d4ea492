"""Data files that are damaged or missing are named with the way out, and a rebuild mends all."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from pipeline.table import delta
from pipeline.table.address import Table
from pipeline.verify import check as verify
from tests import commands, deliveries
from tests.deliveries import Event
from tests.whole.cases import DELIVERED, HISTORY, Case, lent, make


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Case]:
    """Tables without and with history, by their options."""
    return {options: make(tmp_path_factory.mktemp("table"), options) for options in ((), HISTORY)}


@pytest.fixture(params=[(), HISTORY], ids=["", "history"])
def case(
    request: pytest.FixtureRequest, cases: dict[tuple[str, ...], Case], tmp_path: Path
) -> Iterator[Case]:
    """A table that a test may change, to be run with these options."""
    with lent(cases[request.param], tmp_path / "backup") as case:
        yield case


def damage_missing(path: Path) -> None:
    """The file is gone."""
    path.unlink()


def damage_truncated(path: Path) -> None:
    """The end of the file is gone."""
    os.truncate(path, path.stat().st_size // 2)


def damage_footer(path: Path) -> None:
    """The file's table of contents makes no sense."""
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(half - 8) + content[2 * half - 8 :])


def damage_pages(path: Path) -> None:
    """The rows make no sense."""
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 200 + content[204:])


def damage_pipe(path: Path) -> None:
    """In its place is a pipe, which nobody ever writes to."""
    path.unlink()
    os.mkfifo(path)


def damage_circle(path: Path) -> None:
    """In its place is a link to itself."""
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    "damage",
    [
        damage_missing,
        damage_truncated,
        damage_footer,
        damage_pages,
        damage_pipe,
        damage_circle,
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(
    case: Case, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The job, the compaction and the check name it; the rest is checked; a rebuild mends all."""
    live = [file.path for file in delta.load(Table(str(case.root))).files]
    live.sort(key=lambda path: "day=08" not in path)
    damage(case.root / live[0])
    name = live[0].rpartition("/")[2]
    deliveries.deliver(case.inputs / "more.jsonl", [Event(id, 90, 1) for id in "abcdefg"])
    capsys.readouterr()

    assert commands.run(case.root, case.inputs, *case.options) == 1
    said = capsys.readouterr().err
    assert name in said
    assert "`verify`" in said
    assert "`--rebuild`" in said
    assert "faster" not in said
    assert "Traceback" not in said

    findings = verify.verify(str(case.root)).findings
    assert any(name in finding for finding in findings)
    assert not any(other in finding for finding in findings for other in live[1:])

    case.run("--rebuild")
    case.has(deliveries.latest([*DELIVERED, *(Event(id, 90, 1) for id in "abcdefg")]))


@pytest.mark.parametrize("case", [()], indirect=True)  # with history the files are there
def test_a_version_without_its_files_is_named(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that was set back to a version whose files had been removed names missing files."""
    DeltaTable(str(case.root)).restore(1, ignore_missing_files=True)
    deliveries.deliver(case.inputs / "more.jsonl", [Event(id, 90, 1) for id in "abcdefg"])

    assert commands.run(case.root, case.inputs) == 1

    said = capsys.readouterr().err
    assert "is live in the log, but missing" in said
    assert "faster" not in said
    case.run("--rebuild")
    case.has(deliveries.latest([*DELIVERED, *(Event(id, 90, 1) for id in "abcdefg")]))
