"""Rows of live files, whoever wrote them; and files that cannot be read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import compact
from pipeline.keys import delivery_keys
from pipeline.keys.partitions import Destination
from pipeline.rows import live_rows, parquet
from pipeline.rows.encoding import WriteSettings
from pipeline.steps import scan
from pipeline.steps.plan import ScanTask
from pipeline.steps.sizes import Sizes
from pipeline.table import commits, datafiles, delta, log, settling
from pipeline.table.address import Table
from pipeline.table.datafiles import FILE_SCHEMA, DataFile
from tests.table.tables import publish

NAMES = FILE_SCHEMA.names
# The first and the last instant that an event can have, and two around 1970.
MICROS = [-62_135_596_800_000_000, -1, 0, 253_402_300_799_999_999]


def rows(**columns: pa.Array) -> pa.Table:
    """Four rows as our own files have them, but for the columns given."""
    return pa.table(
        {
            "event_id": pa.array(["a", "bb", "", "ü" * 300]),
            "timestamp": pa.array(MICROS, pa.timestamp("us", "UTC")),
            "nanos": pa.array([0, 1, 2, 999], pa.int16()),
            "data": pa.array(["1", "{}", '"x"', "null"]),
            "extra": pa.array([None, "{}", None, None], pa.string()),
            **columns,
        }
    )


def task(file: DataFile) -> ScanTask:
    """What the scan of a live file is asked to do."""
    return ScanTask(0, file, Sizes(7, 1, 1, delivery_keys.Size(0, False)))


def written(root: Path, content: pa.Table, **options: Any) -> DataFile:
    """A file with this content."""
    path = root / "file.parquet"
    root.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, **options)
    size = path.stat().st_size
    destination = Destination("account", "created", 2021, 1, 8)
    return DataFile("file.parquet", destination, len(content), size, None, None)


TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()]


def texts_as(kind: pa.DataType, content: pa.Table) -> pa.Table:
    """The same rows with texts of another kind."""
    for name in ("event_id", "data", "extra"):
        at = content.column_names.index(name)
        content = content.set_column(at, name, content[name].cast(kind))
    return content


@pytest.mark.parametrize(
    "change",
    [
        *(lambda content, kind=kind: texts_as(kind, content) for kind in TEXTS),
        lambda content: content.set_column(0, "event_id", content["event_id"].dictionary_encode()),
        lambda content: content.select(NAMES[::-1]),
        lambda content: content.append_column("more", content["data"]),
        lambda content: content.set_column(
            1, "timestamp", content["timestamp"].cast(pa.timestamp("us"))
        ),
        lambda content: content.set_column(
            1, "timestamp", content["timestamp"].cast(pa.timestamp("us", "Asia/Tokyo"))
        ),
        lambda content: content.set_column(2, "nanos", content["nanos"].cast(pa.int64())),
    ],
)
@pytest.mark.parametrize("groups", [1, 3])
def test_every_way_to_write_the_same_rows_reads_the_same(
    tmp_path: Path, change: Callable[[pa.Table], pa.Table], groups: int
) -> None:
    """Texts, time zones, integers, order: all at once, some rows, and piece by piece."""
    file = written(tmp_path, change(rows()), row_group_size=groups)

    with live_rows.open_rows(str(tmp_path), file) as found:
        assert live_rows.read(found, NAMES).equals(rows())
        assert pa.concat_tables(live_rows.batches(found, NAMES, 3)).equals(rows())
        some = np.array([0, 3])
        assert live_rows.take(found, some, NAMES).equals(rows().take(some))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_any_unit_of_time_is_read(tmp_path: Path, unit: str) -> None:
    """Seconds to nanoseconds; what is below a microsecond is cut off, before 1970 as well."""
    times = pa.array([-1, 0, 1_610_064_000], pa.timestamp(unit, "UTC"))
    file = written(tmp_path, rows().slice(0, 3).set_column(1, "timestamp", times), version="2.6")

    with live_rows.open_rows(str(tmp_path), file) as found:
        read = live_rows.read(found, ["timestamp"])["timestamp"]
        assert read.type == pa.timestamp("us", "UTC")
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
        expected = [value * 10**6 // per_second for value in (-1, 0, 1_610_064_000)]
        assert read.cast(pa.int64()).to_pylist() == expected


def test_times_of_96_bits_are_read(tmp_path: Path) -> None:
    """As older versions of Spark write them, for all years."""
    file = written(tmp_path, rows(), use_deprecated_int96_timestamps=True)

    with live_rows.open_rows(str(tmp_path), file) as found:
        assert live_rows.read(found, ["timestamp"]).equals(rows().select(["timestamp"]))


def test_columns_that_are_not_there_are_null(tmp_path: Path) -> None:
    """Whoever has none of something may leave the column out; no nanoseconds are 0."""
    file = written(tmp_path, rows().select(["event_id", "timestamp"]))
    expected = pa.table(
        {
            "nanos": pa.array([0] * 4, pa.int16()),
            "data": pa.nulls(4, pa.string()),
            "extra": pa.nulls(4, pa.string()),
        }
    )

    with live_rows.open_rows(str(tmp_path), file) as found:
        names = expected.column_names
        assert live_rows.read(found, names).equals(expected)
        assert live_rows.take(found, np.array([1, 2]), names).equals(expected.slice(1, 2))
        pieces = list(live_rows.batches(found, names, 3))
        assert [len(piece) for piece in pieces] == [3, 1]
        assert pa.concat_tables(pieces).equals(expected)


def test_a_column_of_another_kind_is_an_error(tmp_path: Path) -> None:
    """A number is no text: the file is not one of this table."""
    file = written(tmp_path, rows(event_id=pa.array([1, 2, 3, 4])))
    with pytest.raises(pa.ArrowInvalid, match="is int64, where the table has string"):
        live_rows.read(pq.ParquetFile(tmp_path / file.path), NAMES)


@given(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from(["a", "b", ""]),
            st.none() | st.integers(0, 2),
            st.none() | st.integers(0, 999),
            st.none() | st.sampled_from(["1", "{}"]),
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
def test_rows_with_nulls_compete_with_nobody_and_are_kept(
    tmp_path_factory: pytest.TempPathFactory,
    found: list[tuple[str | None, int | None, int | None, str | None]],
    by_view: bool,
) -> None:
    """Without an id or a time a row is nobody's version; rewritten, all rows are as they were."""
    ids, micros, nanos, data = zip(*found, strict=True)
    content = pa.table(
        [ids, pa.array(micros, pa.timestamp("us", "UTC")), nanos, data, pa.nulls(len(ids))],
        schema=FILE_SCHEMA,
    )
    root = tmp_path_factory.mktemp("table")
    file = written(root, texts_as(pa.string_view() if by_view else pa.string(), content))
    nothing = delivery_keys.DeliveryKeys(delivery_keys.Size(0, False), (), 1, frozenset())

    scanned = scan.scan_file(str(root), task(file), nothing)
    (copy,) = parquet.merge_files([file], WriteSettings(str(root), "r1", 1 << 20))

    complete = [row for row in found if row[0] is not None and row[1] is not None]
    assert scanned.rows == len(complete)
    with live_rows.open_rows(str(root), copy) as read:
        rewritten = live_rows.read(read, NAMES)
    assert sorted(map(repr, rewritten.to_pylist())) == sorted(
        repr({**row, "nanos": row["nanos"] or 0}) for row in content.to_pylist()
    )
    known = all(None not in (row[0], row[1], row[3]) for row in found)
    assert (copy.min_timestamp, copy.max_timestamp) == (
        (min(filter(lambda m: m is not None, micros)), max(m for m in micros if m is not None))
        if known
        else (None, None)
    )


class TestDamage:
    """A live file that is not what the log says."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        """A table of two files in one partition."""
        root = str(tmp_path / "table")
        publish(root, "r1", {"a": 1})
        publish(root, "r2", {"b": 2})
        return root

    def read(self, root: str, file: DataFile) -> None:
        """Reads all of a file."""
        with live_rows.open_rows(root, file) as found:
            live_rows.read(found, NAMES)

    @pytest.mark.parametrize("use", ["read", "scan", "write", "compact"])
    @pytest.mark.parametrize(
        ("damage", "what"),
        [
            (os.unlink, "is live in the log, but missing"),
            (lambda path: os.truncate(path, 100), "is damaged: it has 100 bytes, the log says 1,"),
            (lambda path: os.truncate(path, 0), "is damaged: it has 0 bytes"),
            (lambda path: Path(path).write_bytes(b"x" * os.path.getsize(path)), "is damaged: "),
            (
                lambda path: pq.write_table(rows(), path),
                r"is damaged: it has 4 rows, the log says 1",
            ),
        ],
        ids=["missing", "truncated", "emptied", "overwritten", "another"],
    )
    def test_it_is_named_with_the_way_out(
        self, root: str, use: str, damage: Callable[[str], None], what: str
    ) -> None:
        """It is no conflict with another run: to run again would not help."""
        file = delta.load(Table(root)).files[0]
        damage(f"{root}/{file.path}")

        with pytest.raises(
            datafiles.TableError, match=f"{file.path} {what}.*verify.*--rebuild"
        ) as e:
            if use == "read":
                self.read(root, file)
            elif use == "scan":
                scan.scan_file(root, task(file), delivery_keys.NOTHING)
            elif use == "write":
                parquet.merge_files([file], WriteSettings(root, "r3", 1 << 20))
            else:
                compact.compact(Table(root), "r3", 1 << 20)

        assert not isinstance(e.value, datafiles.ConflictError)
        assert "ConflictError" not in str(e.value)

    @given(st.data())
    def test_no_bit_that_flips_changes_a_row(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """Pages have checksums, and what is wrong elsewhere cannot be read or makes no difference.

        Else damage would go on into new files, where nobody could tell any more.
        """
        root = tmp_path_factory.mktemp("table")
        file = written(root, rows())
        (file,) = parquet.merge_files(
            [file], WriteSettings(str(root), "20210108T000000-0a1b2c", 1 << 20)
        )
        with live_rows.open_rows(str(root), file) as found:
            right = live_rows.read(found, NAMES)
        content = bytearray((root / file.path).read_bytes())
        bit = data.draw(st.integers(0, len(content) * 8 - 1))
        content[bit // 8] ^= 1 << bit % 8
        (root / file.path).write_bytes(content)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log, "is_live", lambda *_: True)
            try:
                with live_rows.open_rows(str(root), file) as found:
                    assert live_rows.read(found, NAMES).equals(right)
            except datafiles.TableError as error:
                assert f"{file.path} is damaged" in str(error)

    def test_a_file_that_was_superseded_is_a_conflict(self, root: str) -> None:
        """Then another run was faster, and this one starts again from the new table."""
        snapshot = delta.load(Table(root))
        commits.commit(Table(root), snapshot.version, "r3", [], snapshot.files[:1])
        settling.settle(Table(root))

        with pytest.raises(datafiles.ConflictError, match="another run has superseded"):
            self.read(root, snapshot.files[0])

    def test_what_comes_of_the_rest_of_the_work_is_no_damage(self, root: str) -> None:
        """An error of one's own does not blame the file."""
        file = delta.load(Table(root)).files[0]
        with pytest.raises(ZeroDivisionError), live_rows.open_rows(root, file):
            1 / 0  # noqa: B018 (raises)
