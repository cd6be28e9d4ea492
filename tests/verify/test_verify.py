"""The independent check: a right table passes, and each thing that can be wrong is found."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from deltalake import Schema
from deltalake.transaction import AddAction, create_table_with_add_actions

from pipeline.verify.check import RIGHT, WRONG, main, table_digest, verify

KEYS = ["domain", "event_type", "year", "month", "day"]
FIELDS = {
    "event_id": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
    "nanos": pa.int16(),
    "data": pa.string(),
    "extra": pa.string(),
}
TYPES = [pa.string(), pa.string(), pa.int32(), pa.int32(), pa.int32()]
SCHEMA = pa.schema([*FIELDS.items(), *zip(KEYS, TYPES, strict=True)])
EPOCH = datetime.datetime(1970, 1, 1)
MIDNIGHT = 1_610_064_000_000_000  # 2021-01-08T00:00:00Z
NAME = "part-20210108T101112-0a1b2c-0000000000000001.parquet"
FIRST = f"domain=account/event_type=a%2Fb/year=2021/month=01/day=08/{NAME}"
SECOND = FIRST.replace("day=08", "day=09")

Columns = dict[str, list[Any]]


def rows(*ids: str, micros: int = MIDNIGHT, **columns: list[Any]) -> Columns:
    """Faultless rows, a microsecond apart, but for the columns given."""
    count = len(ids)
    right: Columns = {
        "event_id": list(ids),
        "timestamp": list(range(micros, micros + count)),
        "nanos": [0] * count,
        "data": ['{"a": 1.0}'] * count,
        "extra": [None] * count,
    }
    return {**right, **columns}


def make(root: Path, files: dict[str, Columns], day: int = 8, **logged: Any) -> Path:
    """A table as the Delta log and the files are given: nothing in it is checked.

    Args:
        root: Where.
        files: The rows of each file by its path. A second file is for the day after.
        day: The partition of the first file in the log.
        logged: What the log says of each file, where it is not what is true.
    """
    adds = []
    for n, (path, columns) in enumerate(files.items()):
        table = pa.table({name: pa.array(columns[name], FIELDS[name]) for name in columns})
        (root / path).parent.mkdir(parents=True)
        pq.write_table(table, root / path)
        times = [time for time in columns["timestamp"] if time is not None]
        shown = [
            (EPOCH + datetime.timedelta(microseconds=time)).isoformat()
            for time in (min(times), max(times))
        ]
        stats = {
            "numRecords": len(columns["event_id"]),
            "minValues": {"timestamp": f"{shown[0]}Z"},
            "maxValues": {"timestamp": f"{shown[1]}Z"},
            **logged,
        }
        values = ("account", "a/b", "2021", "1", str(day + n))
        adds.append(
            AddAction(
                path=path,
                size=(root / path).stat().st_size,
                partition_values=dict(zip(KEYS, values, strict=True)),
                modification_time=0,
                data_change=True,
                stats=json.dumps(stats),
            )
        )
    create_table_with_add_actions(
        str(root), Schema.from_arrow(SCHEMA), adds, mode="error", partition_by=KEYS
    )
    return root


@pytest.fixture
def right(tmp_path: Path) -> Path:
    """A faultless table of two files."""
    next_day = rows("c", micros=MIDNIGHT + 86_400_000_000, extra=['{"x":1}'])
    return make(tmp_path / "table", {FIRST: rows("a", "b"), SECOND: next_day})


def test_a_right_table_passes(right: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No findings, status 0, and what is there in numbers. Hidden files are nobody's business."""
    (right / "_eventsift").mkdir()
    (right / "_eventsift" / "anything.parquet").touch()

    assert main(["--output", str(right)]) == RIGHT

    assert capsys.readouterr().out == (
        "version     0\nrows        3\nfiles       2\npartitions  2\n"
        f"digest      {table_digest(str(right))}\nEverything is right.\n"
    )


@pytest.mark.parametrize(
    ("columns", "finding"),
    [
        (rows("a", "b", "a"), "event_id 'a' is there 2 times: " + FIRST),
        (rows("a", "b", timestamp=[MIDNIGHT + 1, MIDNIGHT]), "not sorted by timestamp (rows: 1; "),
        (
            rows("a", micros=MIDNIGHT - 1),
            "not of the UTC date of its partition, 2021-01-08 (rows: 1; ",
        ),
        (
            rows("a", "b", data=["{}", "{oops"]),
            "data is not JSON (rows: 1; the first has event_id 'b'",
        ),
        (rows("a", data=["1 2"]), "data is not JSON"),
        (rows("a", extra=[""]), "extra is not a JSON object (rows: 1; "),
        (rows("a", nanos=[1000]), "nanos is not 0 to 999 (rows: 1; "),
        (rows("a", nanos=[-1]), "nanos is not 0 to 999 (rows: 1; "),
        (rows("", "b"), "event_id is empty (rows: 1; the first has event_id ''"),
        (rows("a", "b", event_id=["a", None]), "event_id is null (rows: 1; "),
        (rows("a", "b", data=["1", None]), "data is null (rows: 1; the first has event_id 'b'"),
        (rows("a", "b", nanos=[1, None]), "nanos is null (rows: 1; "),
        (rows("a", "b", timestamp=[MIDNIGHT, None]), "timestamp is null (rows: 1; "),
    ],
)
def test_a_wrong_row_is_found(
    tmp_path: Path, columns: Columns, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One finding, with the rule, how many rows break it, and the event_id of the first."""
    make(tmp_path / "table", {FIRST: columns})

    assert main(["--output", str(tmp_path / "table")]) == WRONG

    found, *rest = capsys.readouterr().out.splitlines()
    assert finding in found
    assert FIRST in found
    assert rest[-2] == "Wrong: 1"
    assert "`run --rebuild`" in rest[-1]


def test_one_event_id_in_two_partitions_is_found(tmp_path: Path) -> None:
    """Uniqueness is the whole table's; many repeats are shown in part and counted."""
    ids = [f"id-{n}" for n in range(15)]
    next_day = rows(*ids, micros=MIDNIGHT + 86_400_000_000)
    make(tmp_path, {FIRST: rows(*ids), SECOND: next_day})

    findings = verify(str(tmp_path)).findings

    assert findings[0] == f"event_id 'id-0' is there 2 times: {FIRST}, {SECOND}"
    assert findings[10:] == ["5 more event_ids are there more than once"]


@pytest.mark.parametrize(
    ("logged", "finding"),
    [
        ({"numRecords": 3}, "2 rows, the log says 3"),
        ({"minValues": {"timestamp": "2021-01-08T00:00:00.000001Z"}}, "its first timestamp is"),
        ({"maxValues": {"timestamp": "2021-01-08T00:00:00.000002Z"}}, "its last timestamp is"),
        ({"day": 9}, "day is '08' by its folder, the log says 9"),
    ],
)
def test_an_untrue_log_is_found(tmp_path: Path, logged: dict[str, Any], finding: str) -> None:
    """Readers skip files by what the log says of them: what is untrue there hides rows."""
    make(tmp_path, {FIRST: rows("a", "b")}, **logged)

    assert any(finding in found for found in verify(str(tmp_path)).findings)


def _stray(root: Path) -> None:
    shutil.copy(root / FIRST, (root / FIRST).with_name("again.parquet"))


def _note(root: Path) -> None:
    (root / "README").touch()


def _empty(root: Path) -> None:
    (root / "domain=card").mkdir()


def _lost(root: Path) -> None:
    (root / FIRST).unlink()


def _cut(root: Path) -> None:
    (root / FIRST).write_bytes((root / FIRST).read_bytes()[:-1])


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        (
            _stray,
            [f"{Path(FIRST).parent}/again.parquet: visible to readers, but not live in the log"],
        ),
        (_note, ["README: visible to readers, but not live in the log"]),
        (_empty, ["domain=card: a folder without files"]),
        (_lost, [f"{Path(FIRST).parent}: a folder without", f"{FIRST}: live in the log, but"]),
        (_cut, [f"{FIRST}: ", f"{FIRST}: cannot be read: "]),
    ],
)
def test_a_wrong_file_is_found(
    right: Path, change: Callable[[Path], None], findings: list[str]
) -> None:
    """What readers of plain files see must be what the log has, byte for byte."""
    change(right)

    found = verify(str(right)).findings

    assert len(found) == len(findings)
    for sentence, start in zip(found, findings, strict=True):
        assert sentence.startswith(start)


def test_a_file_that_is_not_settled_is_found(tmp_path: Path) -> None:
    """Between the commit and the moving of its files plain readers see the table as it was."""
    make(tmp_path, {"_eventsift/new/run/part-run-0.parquet": rows("a")})

    (finding,) = verify(str(tmp_path)).findings

    assert finding.endswith("not in its partition yet; the job's next run heals that")


def test_other_columns_are_found(tmp_path: Path) -> None:
    """Partition columns stored in the files as well, say, break some readers."""
    make(tmp_path, {FIRST: {**rows("a"), "event_id": ["a"]}})
    table = pq.read_table(tmp_path / FIRST, partitioning=None)
    pq.write_table(table.append_column("day", pa.array([8])), tmp_path / FIRST)

    assert any("its columns are not event_id, " in f for f in verify(str(tmp_path)).findings)


def test_no_table_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a missing option is a usage error."""
    assert main(["--output", str(tmp_path)]) == WRONG
    assert capsys.readouterr().err.startswith(f"eventsift: {tmp_path}: not a table that can be")

    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2


class TestDigest:
    """Equal for equal events, whatever the files; different for anything else."""

    def test_it_is_what_the_module_says(self, right: Path) -> None:
        """Anyone can compute it: the sum of the hashes of rows written as JSON."""
        events = [
            ["a", MIDNIGHT, 0, "account", "a/b", '{"a": 1.0}', None],
            ["b", MIDNIGHT + 1, 0, "account", "a/b", '{"a": 1.0}', None],
            ["c", MIDNIGHT + 86_400_000_000, 0, "account", "a/b", '{"a": 1.0}', '{"x":1}'],
        ]
        texts = [json.dumps(event, separators=(",", ":"), ensure_ascii=False) for event in events]
        digest = sum(xxhash.xxh3_128_intdigest(text.encode()) for text in texts) % 2**128
        assert table_digest(str(right)) == f"{digest:032x}" == verify(str(right)).digest

    def test_it_does_not_depend_on_layout(self, tmp_path: Path) -> None:
        """One file or two, one order or another."""
        one = make(tmp_path / "one", {FIRST: rows("a", "b", timestamp=[MIDNIGHT, MIDNIGHT])})
        apart = {
            FIRST: rows("b", timestamp=[MIDNIGHT]),
            FIRST.replace("day=08", "day=07"): rows("a", timestamp=[MIDNIGHT]),
        }
        two = make(tmp_path / "two", apart)
        assert table_digest(str(one)) == table_digest(str(two))

    @pytest.mark.parametrize(
        "columns",
        [
            rows("A"),
            rows("a", micros=MIDNIGHT + 1),
            rows("a", nanos=[1]),
            rows("a", data=['{"a": 1.00}']),
            rows("a", extra=["{}"]),
            rows("a", "a"),
        ],
    )
    def test_it_depends_on_everything_else(self, tmp_path: Path, columns: Columns) -> None:
        """Each field, and how often a row is there."""
        one = make(tmp_path / "one", {FIRST: rows("a")})
        other = make(tmp_path / "other", {FIRST: columns})
        assert table_digest(str(one)) != table_digest(str(other))
