import shutil
import time
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema

from pipeline.bookkeeping import ledger, listings
from pipeline.input import counts
from pipeline.keys.partitions import PARTITION_COLUMNS
from pipeline.storage import FileInfo
from pipeline.table import delta
from pipeline.table.address import Table
from tests import commands, deliveries, tables
from tests.deliveries import Event

A = FileInfo("/in/a.jsonl", 10, 1000.123456)
B = FileInfo("/in/b.jsonl", 20, 2000.0)


def make_table(root: Path) -> DeltaTable:
    """An empty table of ours, version 0."""
    return DeltaTable.create(
        str(root), Schema.from_arrow(delta.TABLE_SCHEMA), partition_by=list(PARTITION_COLUMNS)
    )


def next_version(root: Path) -> int:
    """Makes another version of the table."""
    found = DeltaTable(str(root))
    found.alter.set_table_description(f"of version {found.version() + 1}")
    return found.version()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A table."""
    make_table(tmp_path / "table")
    return tmp_path / "table"


def extend(root: Path, files: list[FileInfo], version: int) -> None:
    """Extends the ledger by files, which are stored first."""
    listing = str(root.parent / "listing")
    listings.write(listing, files)
    table = Table(str(root))
    ledger.extend(table, listing, version, delta.load(table).lineage)


def published(root: Path) -> list[FileInfo]:
    """The files in the ledger, sorted."""
    return sorted(ledger.published(Table(str(root))))


def test_only_files_as_they_were_published_are_left_out() -> None:
    """Another size, time or path is another delivery; order is kept."""
    changed = [A._replace(bytes=11), A._replace(modified=1000.1234561), A._replace(path="/in/c")]
    assert ledger.unpublished([B, A], [A]) == [B]
    assert ledger.unpublished([*changed, A], [B, A]) == changed
    assert ledger.unpublished([], [A]) == []


def test_extending_keeps_the_newest_entry_of_a_path(root: Path) -> None:
    """A file that was delivered again with other content is known by that content only."""
    extend(root, [A, B], 0)
    extend(root, [], 0)
    extend(root, [A._replace(bytes=99)], 0)
    assert published(root) == [A._replace(bytes=99), B]


def test_it_says_what_each_file_had(root: Path) -> None:
    """Of a file of which nothing was counted, that it had nothing; if no counts came, nothing."""
    listing, table = str(root.parent / "listing"), Table(str(root))
    listings.write(listing, [A, B])
    rows = [[A.path, "/in/other"], [3, 9], [1, 9], [-5, 9], [7, 9]]
    counted = pa.table(rows, schema=counts.SCHEMA)
    lineage = delta.load(table).lineage
    ledger.extend(table, listing, 0, lineage, "r1", listings.pack(counted))
    assert ledger.entries(table, lineage) == [
        ledger.Entry(A, 0, "r1", 3, 1, -5, 7),
        ledger.Entry(B, 0, "r1", 0, 0, None, None),
    ]
    for packed in (b"", b"damaged"):
        ledger.extend(table, listing, 0, lineage, "r2", packed)
        assert ledger.entries(table, lineage) == [
            ledger.Entry(file, 0, "r2", None, None, None, None) for file in (A, B)
        ]


def test_nothing_in_it_looks_like_data(root: Path) -> None:
    """Readers of Parquet files took the ledger for one of them; an old one goes."""
    old = root / "_eventsift" / "ledger.parquet"
    old.parent.mkdir()
    old.touch()
    extend(root, [A], 0)
    assert list(root.rglob("_eventsift/**/*.parquet")) == []


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}", b"\x28\xb5\x2f\xfd" + b"\0" * 100])
def test_an_unreadable_ledger_costs_time_only(
    root: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is set aside, which a line says, and the next run begins a new one."""
    path = root / ledger.LEDGER
    path.parent.mkdir()
    path.write_bytes(content)
    assert published(root) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line and "damaged-" in line
    assert [file.read_bytes() for file in path.parent.iterdir()] == [content]
    extend(root, [A], 0)
    assert published(root) == [A]


def test_no_bit_flip_passes_for_a_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever bit of it changes, the ledger is as it was or is not one.

    Seen to fail: a flipped bit stopped all runs (`UnicodeDecodeError`), or named other files.
    """
    extend(root, [A, B], 0)
    path = root / ledger.LEDGER
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert published(root) in ([], [A, B])
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        assert published(root) == []


@pytest.mark.parametrize("kind", ["folder", "link", "list without versions"])
def test_what_is_no_ledger_is_set_aside(root: Path, kind: str, tmp_path: Path) -> None:
    """Whatever lies in its place stops no run."""
    path = root / ledger.LEDGER
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        listings.write(str(path), [A])
    assert published(root) == []
    extend(root, [A], 0)
    assert published(root) == [A]
    assert not (tmp_path / "elsewhere").exists()


def test_it_is_quick_with_many_files(root: Path) -> None:
    """Years of deliveries do not make each run slow: 100,000 files take a part of a second."""
    known = [FileInfo(f"/in/{n // 100}/events-{n:06}.jsonl", n, n * 1.5) for n in range(100_000)]
    extend(root, known, 0)
    matched = [*known, A]
    started = time.process_time()

    new = ledger.unpublished(matched, published(root))
    extend(root, new, 0)

    assert time.process_time() - started < 2  # about 0.4 s
    assert new == [A]
    assert set(published(root)) == set(matched)


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    """Before the first run."""
    assert ledger.published(Table(str(tmp_path))) == []


class TestOfItsTable:
    """Files whose events are not in the table any more are not published."""

    def test_another_table_in_the_same_place(self, root: Path) -> None:
        """The same folder, another table. Seen to fail: its events were missing for good."""
        extend(root, [A], 0)
        shutil.rmtree(root / "_delta_log")
        assert published(root) == []
        make_table(root)
        assert published(root) == []
        extend(root, [B], 0)
        assert published(root) == [B]

    def test_a_ledger_of_another_table(self, root: Path, tmp_path: Path) -> None:
        """Copied from there."""
        other = tmp_path / "other"
        make_table(other)
        extend(other, [A], 0)
        shutil.copytree(other / "_eventsift", root / "_eventsift")
        assert published(root) == []

    def test_a_table_set_back(self, root: Path) -> None:
        """What came after the version it was set back to is void, what comes later is not."""
        extend(root, [A], 0)
        extend(root, [B], next_version(root))
        later = next_version(root)
        DeltaTable(str(root)).restore(0)
        assert published(root) == [A]
        extend(root, [B], next_version(root))
        assert published(root) == [A, B]
        assert later < DeltaTable(str(root)).version()

    def test_a_void_entry_stays_void_when_the_log_forgets_why(self, root: Path) -> None:
        """Commits older than a week leave the log, and RESTORE with them.

        Seen to fail with entries judged only by the commits that are still there.
        """
        extend(root, [A], 0)
        extend(root, [B], next_version(root))
        DeltaTable(str(root)).restore(0)
        next_version(root)
        DeltaTable(str(root)).create_checkpoint()
        for commit in sorted(root.glob("_delta_log/*.json"))[:-1]:
            commit.unlink()
        assert published(root) == []

    def test_what_a_faster_run_has_added_stays(self, root: Path) -> None:
        """A run may have looked at the log before another one published, and come here after it.

        Seen to fail without a new look at the log: entries of later versions were dropped.
        """
        before = delta.load(Table(str(root))).lineage
        extend(root, [B], next_version(root))
        listings.write(str(root.parent / "listing"), [A])

        ledger.extend(Table(str(root)), str(root.parent / "listing"), 0, before)

        assert published(root) == [A, B]

    def test_what_was_checked_before_the_log_forgot_stays_valid(self, root: Path) -> None:
        """Each run, and each compaction, checks what there is and notes that it did."""
        extend(root, [A], 0)
        for _ in range(3):
            next_version(root)
        ledger.refresh(Table(str(root)), delta.load(Table(str(root))).lineage, "compaction")
        DeltaTable(str(root)).create_checkpoint()
        for commit in sorted(root.glob("_delta_log/*.json"))[:-1]:
            commit.unlink()
        assert published(root) == [A]
        next_version(root)
        assert published(root) == [A]

    def test_an_older_copy_of_the_table(self, root: Path, tmp_path: Path) -> None:
        """Put back under a newer ledger; also when its versions have caught up.

        Seen to fail with the number of the version alone.
        """
        shutil.copytree(root, tmp_path / "copy")
        extend(root, [A], next_version(root))
        shutil.rmtree(root / "_delta_log")
        shutil.copytree(tmp_path / "copy" / "_delta_log", root / "_delta_log")
        assert published(root) == []
        DeltaTable(str(root)).alter.set_table_name("of another history")
        next_version(root)
        assert published(root) == []

    def test_files_without_events_need_no_table(self, tmp_path: Path) -> None:
        """A watch must not read a file of rejects again and again, only for want of a table."""
        root = tmp_path / "table"
        extend(root, [A], -1)
        assert published(root) == [A]
        make_table(root)
        assert published(root) == [A]
        extend(root, [B], 0)
        assert published(root) == [A, B]
        shutil.rmtree(root / "_delta_log")
        assert published(root) == []


class TestThroughTheCommand:
    """Cases from real life; each row that was delivered and is not in the table is read again."""

    ALL = (Event("a", 0), Event("b", 1440), Event("c", 0))

    def deliver(self, folder: Path, *events: Event) -> Path:
        """A file for each event."""
        for event in events:
            path = folder / "in" / f"{event.id}.jsonl"
            if not path.exists():
                deliveries.deliver(path, [event])
        return folder / "in"

    def test_the_table_was_removed(self, tmp_path: Path) -> None:
        """All but our folder. Seen to fail: "Nothing new", and a, b were missing for good."""
        root, (a, b, c) = tmp_path / "table", self.ALL
        assert commands.run(root, self.deliver(tmp_path, a, b)) == 0
        shutil.rmtree(root / "_delta_log")
        shutil.rmtree(root / "domain=account")
        only = self.deliver(tmp_path / "other", c)
        assert commands.run(root, only) == 0

        assert commands.run(root, self.deliver(tmp_path, a, b)) == 0

        assert tables.plain_rows(root) == deliveries.latest(self.ALL)

    def test_an_older_version_was_restored(self, tmp_path: Path) -> None:
        """What it had is kept, what came later is read again, and only that."""
        root, (a, b, c) = tmp_path / "table", self.ALL
        history = ("--keep-history", "7d")
        assert commands.run(root, self.deliver(tmp_path, a), *history) == 0
        version = DeltaTable(str(root)).version()
        assert commands.run(root, self.deliver(tmp_path, b), *history) == 0
        DeltaTable(str(root)).restore(version)

        assert tables.recorded(root) == ["a.jsonl"]
        assert commands.run(root, self.deliver(tmp_path, c), *history) == 0

        assert tables.plain_rows(root) == deliveries.latest(self.ALL)
        assert tables.recorded(root) == ["a.jsonl", "b.jsonl", "c.jsonl"]

    def test_deleted_rows_stay_deleted(self, tmp_path: Path) -> None:
        """Somebody had a reason; their files are still in the ledger, and not read again."""
        root, (a, b, c) = tmp_path / "table", self.ALL
        assert commands.run(root, self.deliver(tmp_path, a, b)) == 0
        DeltaTable(str(root)).delete("event_id = 'a'")

        assert commands.run(root, self.deliver(tmp_path, c)) == 0

        expected = deliveries.latest([b, c])
        assert tables.plain_rows(root) == tables.delta_rows(root) == expected
