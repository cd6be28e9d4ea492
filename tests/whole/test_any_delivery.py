"""The job against the oracle: every framing, in one run or several, in any order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.verify.check import verify
from tests import oracle
from tests.commands import run_here, run_job
from tests.deliveries import generate
from tests.oracle import Expected, Rows
from tests.tables import delta_rows, letters_in

SMALL = {"seed": 5, "types": 4, "days": 3}
FAULTY = {**SMALL, "files": 3, "broken": 0.02, "extra": 0.05, "duplicates": 0.3, "ties": 0.1}


def dead_letters(path: str) -> list[tuple[str, int, bytes]]:
    """Source, offset and raw bytes of each dead letter."""
    letters = letters_in(path)
    assert all(letter["length"] == len(letter["raw"]) for letter in letters)
    return [(letter["source"], letter["offset"], letter["raw"]) for letter in letters]


def check(output: Path, rows: Rows) -> str:
    """The table has these rows, and all else is right with it; gives its digest."""
    assert delta_rows(output) == rows
    verdict = verify(str(output))
    assert (verdict.findings, verdict.rows) == ([], rows.total())
    return verdict.digest


@pytest.mark.parametrize(
    "form",
    [
        {"framing": "lines", "compression": "zstd"},
        {"framing": "lines", "crlf": True, "bom": True},
        {"framing": "concatenated", "compression": "gzip"},
        {"framing": "spaced"},
        {"framing": "pretty", "compression": "xz", "crlf": True},
        {"framing": "array", "compression": "bzip2", "bom": True},
    ],
    ids=lambda form: "-".join(map(str, form.values())),
)
def test_every_framing_gives_the_oracles_table(tmp_path: Path, form: dict[str, Any]) -> None:
    """Invariants 1 and 7: the latest versions with their payloads byte for byte, all counted.

    And each dead letter names the bytes that were refused, where they lie in the source. Seen to
    fail: `latest.latest` that sorts without the digest; `decode_by_record` with the end of a
    record as its offset.
    """
    files = generate(tmp_path / "in", 1500, **FAULTY, **form)
    expected = oracle.expect(files)

    summary = run_job(tmp_path / "in", tmp_path / "out")

    assert expected.events["rejected"] == 30
    assert summary["events"] == expected.events
    assert sum(summary["rejected"].values()) == 30
    assert dead_letters(summary["rejects"]) == expected.rejected
    check(tmp_path / "out", expected.rows)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Expected]:
    """Five files whose events supersede each other, and what they must become."""
    options = {**FAULTY, "files": 5, "duplicates": 0.5, "other_day": 0.4, "late": 0.3}
    files = generate(tmp_path_factory.mktemp("in"), 1500, **options)
    return files, oracle.expect(files)


@pytest.mark.parametrize("order", [[[4], [1, 3], [0, 2]], [[0, 1, 2], [4, 3], [0, 4]]], ids=str)
def test_any_split_into_runs_gives_the_same_table(
    tmp_path: Path, delivered: tuple[list[Path], Expected], order: list[list[int]]
) -> None:
    """Invariant 1 over runs: what is published is a function of the set of events.

    Seen to fail: `scan.scan_file` that leaves all digests 0.
    """
    files, expected = delivered
    so_far: set[int] = set()

    for numbers in order:
        so_far |= set(numbers)
        run_here([files[n] for n in numbers], tmp_path)
        check(tmp_path, oracle.expect(files[n] for n in so_far).rows)

    assert delta_rows(tmp_path) == expected.rows


def test_rebuild_forgets_what_the_input_lacks(
    tmp_path: Path, delivered: tuple[list[Path], Expected]
) -> None:
    """--rebuild makes the table of the given files alone, and of files already published, too."""
    files, expected = delivered
    run_here(files, tmp_path)
    digest = check(tmp_path, expected.rows)

    summary = run_here(files[:2], tmp_path, "--rebuild")

    assert summary["files"] == {"matched": 2, "skipped": 0}
    assert check(tmp_path, oracle.expect(files[:2]).rows) != digest

    run_here(files, tmp_path)

    assert check(tmp_path, expected.rows) == digest
