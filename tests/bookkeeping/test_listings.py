"""Lists of files come back as they were stored, or are an error."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bookkeeping import listings
from pipeline.bookkeeping.state import DamagedError
from pipeline.storage import FileInfo


@given(st.lists(st.builds(FileInfo, st.text(), st.integers(0, 2**62), st.floats(0, 2e9))))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, files: list[FileInfo]
) -> None:
    """Fingerprints come back exactly: a time that lost its last digit would match nothing."""
    path = str(tmp_path_factory.mktemp("ledger") / "list")
    listings.write(path, iter(files))
    assert listings.read(path) == files


def test_a_damaged_list_of_this_run_is_an_error(tmp_path: Path) -> None:
    """A run that cannot tell what to read must not take that for nothing."""
    path = tmp_path / "list"
    listings.write(str(path), [FileInfo("/in/a", 10, 1000.5)])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=r"list .*; run again"):
        listings.read(str(path))


def test_no_list_is_an_empty_one(tmp_path: Path) -> None:
    """A run without a list reads what its patterns match."""
    assert listings.read(str(tmp_path / "none")) == []
