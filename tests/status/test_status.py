"""What a status tells of a table, and that it only looks."""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.bookkeeping import leases
from pipeline.command import console
from pipeline.run import new_run_id
from pipeline.status import check, text
from pipeline.status.check import Limits, status
from pipeline.status.facts import Size, Small, Type
from pipeline.table.address import Table
from tests.small_runs import line, run, write

DAY = 86_400.0


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two runs: of the first one record was rejected, the second brought a type."""
    first = write(tmp_path / "in" / "1.jsonl", line("a"), line("b", "2021-01-09T00:00:00Z"), "oops")
    run(first, tmp_path / "table")
    second = write(tmp_path / "in" / "2.jsonl", line("c", event_type="sale"), line("d", "2021-02-01"
                   "T00:00:00Z"))  # fmt: skip
    run(second, tmp_path / "table")
    return tmp_path / "table"


def of(table: Path, *patterns: Path, **options: float) -> check.Status:
    """The status of a table."""
    return status(Table(str(table)), list(map(str, patterns)), Limits(**options))  # type: ignore[arg-type]


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time and content of each file in a folder, and the folders."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def test_the_log_tells_what_the_table_has(table: Path) -> None:
    """Types by rows, days, files by size."""
    found = of(table).content

    bytes_of = {
        name: sum(path.stat().st_size for path in table.glob(f"**/event_type={name}/**/*.parquet"))
        for name in ("created", "sale")
    }
    assert (found.version, found.rows, found.files, found.partitions) == (3, 4, 4, 4)
    assert (found.first_day, found.last_day) == ("2021-01-08", "2021-02-01")
    assert found.bytes == sum(bytes_of.values())
    assert found.types == [
        Type("account", "created", 3, 3, bytes_of["created"], 3, "2021-01-08", "2021-02-01"),
        Type("account", "sale", 1, 1, bytes_of["sale"], 1, "2021-01-08", "2021-01-08"),
    ]
    assert found.sizes == [Size(1_000_000, 4, found.bytes)]
    assert found.small == Small(0, 0, 0)
    assert found.uncounted == 0


def test_it_only_looks(table: Path) -> None:
    """No file is made or changed, and no data file is opened: they may even be missing."""
    before_all = of(table, table.parent / "in")
    for path in table.glob("domain=*/**/*.parquet"):
        path.unlink()
    (table / "_eventsift" / "ledger.arrow.zst").write_bytes(b"damaged")
    (table / "_eventsift" / "runs" / "20300101T000000-aaaaaa.json").write_bytes(b"damaged")
    (table / "_eventsift" / "alive" / "20300101T000000-bbbbbb").write_bytes(b"")
    before = everything(table)

    after = of(table, table.parent / "in")

    assert everything(table) == before
    assert after.content == before_all.content
    assert after.runs == before_all.runs
    assert (before_all.waiting and before_all.waiting.files) == 0
    assert (after.waiting and after.waiting.files) == 2  # so the next run will read them


def test_the_last_runs(table: Path) -> None:
    """The newest first, also one without news; with what it brought."""
    run(table.parent / "in", table)
    found = of(table)

    assert [(one.published, one.read, one.kept, one.rejected) for one in found.runs] == [
        (False, 0, 0, 0),
        (True, 2, 2, 0),
        (True, 3, 2, 1),
    ]
    assert [one.new_types for one in found.runs] == [
        [],
        [("account", "sale")],
        [("account", "created")],
    ]
    assert [one.version for one in found.runs] == [3, 3, 1]
    began = datetime.datetime.strptime(str(found.runs[0].began), "%Y-%m-%dT%H:%M:%S%z")
    assert abs(began.timestamp() - time.time()) < DAY
    assert found.last_run_seconds is not None
    assert 0 <= found.last_run_seconds < DAY


class TestOpenRejects:
    """Dead letters are open until their file goes, or a rebuild makes them void."""

    def test_they_are_counted_from_the_summaries(self, table: Path) -> None:
        """Not by reading them: a file of them may be large."""
        (rejects,) = (table / "_eventsift" / "rejects").iterdir()
        rejects.write_bytes(b"")
        found = of(table).open_rejects
        assert (found.records, found.files) == (1, [str(rejects)])

    def test_whoever_has_dealt_with_them_deletes_the_file(self, table: Path) -> None:
        """Then nobody is told of them any more."""
        (rejects,) = (table / "_eventsift" / "rejects").iterdir()
        rejects.unlink()
        assert of(table).open_rejects.records == 0

    def test_a_rebuild_makes_earlier_ones_void(self, table: Path) -> None:
        """It reads its input again, and rejects what is wrong in that."""
        again = write(table.parent / "again.jsonl", line("a"), "oops", "{}")
        run(again, table, "--rebuild")
        found = of(table).open_rejects
        assert (found.records, len(found.files)) == (2, 1)

    def test_those_of_a_refused_run_do_not_count(self, table: Path) -> None:
        """Its files are waiting, and will be read again."""
        bad = write(table.parent / "bad.jsonl", line("x"), "oops", "oops")
        run(bad, table, "--max-rejected", "1", code=console.REJECTED)
        assert len(list((table / "_eventsift" / "rejects").iterdir())) == 2
        assert of(table).open_rejects.records == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="locks")
def test_runs_under_way_and_dead_ones(table: Path, tmp_path: Path) -> None:
    """A lease without its lock is a dead run's; one that is empty says nothing yet."""
    alive, dead, early = (new_run_id() for _ in range(3))
    folder = table / "_eventsift" / "alive"
    (folder / dead).write_bytes(b"{}")
    (folder / early).write_bytes(b"")
    staging = str(table / "_eventsift" / "temp" / alive)

    with leases.hold(str(table), alive, staging):
        found = of(table)
    assert (found.alive, found.dead) == ([alive], [dead])
    said = " ".join(text.text(found).split())
    assert f"alive 1 run under way: {alive}" in said
    assert f"dead 1 run killed: the next run or compact clears up: {dead}" in said


class TestWaiting:
    """What is in the input and not published."""

    def test_new_and_changed_files(self, table: Path) -> None:
        """With their bytes, and the one that was written first."""
        folder = table.parent / "in"
        changed = folder / "2.jsonl"
        changed.write_text(changed.read_text() * 2)
        os.utime(changed, (1000.0, 1000.0))
        new = write(folder / "3.jsonl", line("e"))
        os.utime(new, (2000.0, 2000.0))

        found = status(Table(str(table)), [str(folder)], now=2500.0).waiting

        assert found is not None
        assert (found.matched, found.files, found.changed) == (3, 2, 1)
        assert found.bytes == changed.stat().st_size + new.stat().st_size
        assert (found.oldest, found.oldest_seconds) == (str(changed), 1500.0)

    def test_nothing(self, table: Path) -> None:
        """All is published, or nothing matches."""
        folder = table.parent / "in"
        assert "input      all published: 2 files" in text.text(of(table, folder))
        assert "input      no file matches" in text.text(of(table, folder / "*.json"))
        assert of(table).waiting is None


class TestLimits:
    """What a monitor is told of."""

    @pytest.fixture
    def now(self, table: Path) -> float:
        """An hour after the last run."""
        ended = of(table).last_run_seconds
        assert ended is not None
        return time.time() - ended + 3600

    def wrong(self, table: Path, now: float, *patterns: Path, **options: float) -> Iterator[str]:
        """The first words of what is wrong."""
        limits = Limits(**options)  # type: ignore[arg-type]
        found = status(Table(str(table)), list(map(str, patterns)), limits, now)
        return (sentence.partition(":")[0] for sentence in found.wrong)

    def test_the_age_of_the_last_run(self, table: Path, now: float) -> None:
        """Whether or not it had news."""
        assert list(self.wrong(table, now, age=3500)) == ["Too old"]
        assert list(self.wrong(table, now, age=3700)) == []

    def test_with_an_input_the_time_that_files_wait(self, table: Path, now: float) -> None:
        """A quiet day is not wrong, however long ago the last run was."""
        folder = table.parent / "in"
        assert list(self.wrong(table, now, folder, age=60)) == []
        os.utime(write(folder / "3.jsonl", line("e")), (now - 120, now - 120))
        assert list(self.wrong(table, now, folder, age=60)) == ["Too old"]
        assert list(self.wrong(table, now, folder, age=180)) == []

    def test_open_rejects(self, table: Path, now: float) -> None:
        """As many as allowed are allowed."""
        assert list(self.wrong(table, now, open_rejects=0)) == ["Too many rejects"]
        assert list(self.wrong(table, now, open_rejects=1)) == []


class TestCommand:
    """What is printed, and how it ends."""

    def test_json_has_all_of_it(self, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing else is on standard output."""
        options = ["--output", str(table), "--input", str(table.parent / "in"), "--json"]
        assert check.main(options) == console.DONE
        found = json.loads(capsys.readouterr().out)
        assert found["content"]["rows"] == 4
        assert found["open_rejects"]["records"] == 1
        assert found["waiting"]["files"] == 0
        assert found["wrong"] == []
        assert set(found) == set(check.Status.__struct_fields__)

    def test_a_limit_that_is_exceeded_is_3(
        self, table: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The last lines say which, in the text and in the JSON."""
        options = ["--output", str(table), "--max-open-rejects", "0", "--max-age", "0s"]
        assert check.main(options) == console.REJECTED
        assert capsys.readouterr().out.endswith(
            "\n\nToo many rejects: 1 record open, --max-open-rejects allows 0.\n"
        )
        assert check.main([*options, "--json"]) == console.REJECTED
        assert len(json.loads(capsys.readouterr().out)["wrong"]) == 2

    def test_without_a_table_it_is_1(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A monitor must not take a missing table for a quiet day."""
        (tmp_path / "file").touch()
        (tmp_path / "empty").mkdir()
        for name, sentence in [
            ("nowhere", "--output names the table's folder"),
            ("empty", "--output names the table's folder"),
            ("file", "is a file, not a folder"),
        ]:
            assert check.main(["--output", str(tmp_path / name)]) == console.FAILED
            assert sentence in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ([], "--output is needed"),
            (["--output", "x", "--max-ages", "1h"], "did you mean --max-age?"),
            (["--output", "x", "--max-age", "soon"], "'soon' is not a time"),
            (["--output", "ftp://x"], "there is no store ftp://"),
        ],
    )
    def test_a_usage_error_is_2(
        self, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """As for the other commands."""
        with pytest.raises(SystemExit) as stopped:
            check.main(options)
        assert stopped.value.code == console.USAGE
        assert sentence in capsys.readouterr().err


def large(table: Path, files: int) -> None:
    """Adds a commit with many files to the log; the files are not there."""
    folder = table / "_delta_log"
    version = max(int(path.stem) for path in folder.glob("*.json")) + 1
    adds = [
        {
            "add": {
                "path": f"domain=d{n % 90}/event_type=t/year=2021/month=01/day=08/part-{n}.parquet",
                "partitionValues": {
                    "domain": f"\x1b[31m{n % 90}",
                    "event_type": "t" * 200,
                    "year": "2021",
                    "month": "1",
                    "day": "8",
                },
                "size": 1_500_000 * (1 + n % 100),
                "modificationTime": 0,
                "dataChange": True,
                "stats": json.dumps({"numRecords": 10}) if n % 2 else None,
            }
        }
        for n in range(files)
    ]
    lines = [{"commitInfo": {"timestamp": 0, "operation": "WRITE"}}, *adds]
    (folder / f"{version:020}.json").write_text("".join(json.dumps(one) + "\n" for one in lines))


def test_a_table_of_thousands_of_files(table: Path) -> None:
    """Well under a second of work; in 80 columns; names do nothing to the terminal."""
    large(table, 5000)
    summary = max((table / "_eventsift" / "runs").iterdir())
    for n in range(500):
        copy = summary.read_text().replace(summary.stem, f"20210101T000000-{n:06x}")
        (summary.parent / f"20210101T000000-{n:06x}.json").write_text(copy)
        (table / "_eventsift" / "rejects" / f"20210101T000000-{n:06x}.jsonl").touch()

    began = time.process_time()
    found = of(table)
    took = time.process_time() - began

    assert took < 1.0
    content = found.content
    assert (content.files, content.uncounted, content.rows) == (5004, 2500, 25_004)
    assert len(content.types) == 92
    assert (content.small.files, content.small.partitions) == (550, 90)
    lines = text.text(found).splitlines()
    assert [one for one in lines if len(one) > 80 and str(table) not in one] == []
    assert all(one.isprintable() for one in lines)
    assert any("and more in 2,500 files of other tools" in one for one in lines)
