from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import ledger
from pipeline.storage import FileInfo

A = FileInfo("/in/a.jsonl", 10, 1000.123456)
B = FileInfo("/in/b.jsonl", 20, 2000.0)


@given(st.lists(st.builds(FileInfo, st.text(), st.integers(0, 2**62), st.floats(0, 2e9))))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, files: list[FileInfo]
) -> None:
    """Fingerprints come back exactly: a time that lost its last digit would match nothing."""
    path = str(tmp_path_factory.mktemp("ledger") / "list.parquet")
    ledger.write(path, iter(files))
    assert ledger.read(path) == files


def test_only_files_as_they_were_published_are_left_out() -> None:
    """Another size, time or path is another delivery; order is kept."""
    changed = [A._replace(bytes=11), A._replace(modified=1000.1234561), A._replace(path="/in/c")]
    assert ledger.unpublished([B, A], [A]) == [B]
    assert ledger.unpublished([*changed, A], [B, A]) == changed
    assert ledger.unpublished([], [A]) == []


def test_extending_keeps_the_newest_entry_of_a_path(tmp_path: Path) -> None:
    """A file that was delivered again with other content is known by that content only."""
    path = str(tmp_path / "deep" / "ledger.parquet")
    ledger.extend(path, [A, B])
    ledger.extend(path, [])
    ledger.extend(path, [A._replace(bytes=99)])
    assert sorted(ledger.read(path)) == [A._replace(bytes=99), B]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_an_unreadable_ledger_costs_time_only(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is ignored with a warning that names it, and replaced by the next run."""
    path = tmp_path / "ledger.parquet"
    path.write_bytes(content)
    assert ledger.read(str(path)) == []
    assert str(path) in caplog.text
    ledger.extend(str(path), [A])
    assert ledger.read(str(path)) == [A]


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    """Before the first run."""
    assert ledger.read(str(tmp_path / "none.parquet")) == []
