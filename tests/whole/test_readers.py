"""A table that has grown over many runs, through the eyes of its readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import oracle, readers
from tests.commands import run_here
from tests.deliveries import generate
from tests.oracle import Rows
from tests.readers import Reader
from tests.tables import rows_of


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A table that grew over eleven runs, 22 commits, and the rows it must have."""
    folder = tmp_path_factory.mktemp("grown")
    files = generate(
        folder / "in", 660, files=11, seed=3, types=2, days=2, duplicates=0.4, extra=0.1
    )
    for file in files:
        run_here(file, folder / "out")
    return folder / "out", oracle.expect(files).rows


def test_the_log_of_that_table_has_a_checkpoint(table: tuple[Path, Rows]) -> None:
    """Checkpoints are Parquet files, which no reader of the data may take for data."""
    output, _ = table
    assert list((output / "_delta_log").glob("*.checkpoint.parquet"))


@pytest.mark.parametrize(
    "reader", [*readers.OF_FILES, *readers.OF_THE_LOG], ids=lambda reader: reader.__name__
)
def test_every_reader_sees_the_same_rows(table: tuple[Path, Rows], reader: Reader) -> None:
    """Invariant 8: plain Parquet for those who have never heard of Delta. Each row once, whole."""
    output, expected = table

    assert rows_of(reader(output)) == expected


def test_only_partition_folders_are_visible(table: tuple[Path, Rows]) -> None:
    """Whatever else the table needs is hidden from readers, which skip names with _ or a dot."""
    output, _ = table
    names = {path.name for path in output.iterdir() if not path.name.startswith("_")}
    assert all(name.startswith("domain=") for name in names)
    assert {path.suffix for path in output.glob("domain=*/**/*") if path.is_file()} == {".parquet"}
