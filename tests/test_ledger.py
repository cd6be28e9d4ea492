import time
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


def extend(path: str, files: list[FileInfo], version: int) -> None:
    """Extends the ledger by files, which are stored first."""
    listing = f"{path}.listing"
    ledger.write(listing, files)
    ledger.extend(path, listing, version)


def test_extending_keeps_the_newest_entry_of_a_path(tmp_path: Path) -> None:
    """A file that was delivered again with other content is known by that content only."""
    path = str(tmp_path / ledger.LEDGER)
    extend(path, [A, B], 0)
    extend(path, [], 1)
    extend(path, [A._replace(bytes=99)], 2)
    assert sorted(ledger.published(str(tmp_path))) == [A._replace(bytes=99), B]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_an_unreadable_ledger_costs_time_only(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is ignored with a warning that names it, and replaced by the next run."""
    path = tmp_path / ledger.LEDGER
    path.parent.mkdir()
    path.write_bytes(content)
    assert ledger.published(str(tmp_path)) == []
    assert str(path) in caplog.text
    extend(str(path), [A], 0)
    assert ledger.published(str(tmp_path)) == [A]


def test_it_is_quick_with_many_files(tmp_path: Path) -> None:
    """Years of deliveries do not make each run slow: 100,000 files take a part of a second."""
    known = [FileInfo(f"/in/{n // 100}/events-{n:06}.jsonl", n, n * 1.5) for n in range(100_000)]
    extend(str(tmp_path / ledger.LEDGER), known, 0)
    matched = [*known, A]
    started = time.process_time()

    new = ledger.unpublished(matched, ledger.published(str(tmp_path)))
    extend(str(tmp_path / ledger.LEDGER), new, 1)

    assert time.process_time() - started < 2  # about 0.3 s
    assert new == [A]
    assert set(ledger.published(str(tmp_path))) == set(matched)


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    """Before the first run."""
    assert ledger.read(str(tmp_path / "none.parquet")) == []
    assert ledger.published(str(tmp_path)) == []


def test_a_ledger_of_another_kind_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that does not say which version has the events cannot be trusted after a rebuild."""
    ledger.write(str(tmp_path / ledger.LEDGER), [A])
    assert ledger.published(str(tmp_path)) == []
    assert "it is ignored" in caplog.text
