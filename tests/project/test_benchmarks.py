import json
import os
import pathlib
import sys

import duckdb
import pytest

from benchmarks import build, contents, data, fallbacks, measure, merge, programs, tables
from benchmarks.__main__ import main
from benchmarks.measure import CommandError, Memory, Usage
from generator.options import Options

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the instruments read /proc")

MIB = 1 << 20

# A parent that waits for a child; each touches 64 MiB, then both spend processor time.
TREE = """
import subprocess, sys, time
held = b"x" * (64 << 20)
if sys.argv[1:] == ["child"]:
    sys.stdin.read(1)
else:
    child = subprocess.Popen([sys.executable, __file__, "child"], stdin=subprocess.PIPE)
    deadline = time.process_time() + 0.5
    while time.process_time() < deadline:
        pass
    child.communicate(b"x")
"""
# A parent that ends before its child, which spends half a second of processor time.
ORPHAN = """
import subprocess, sys, time
if sys.argv[1:] == ["child"]:
    deadline = time.process_time() + 0.5
    while time.process_time() < deadline:
        pass
else:
    subprocess.Popen([sys.executable, __file__, "child"])
"""


def python(folder: pathlib.Path, program: str) -> Usage:
    """What a program took."""
    path = folder / "program.py"
    path.write_text(program)
    return measure.run([sys.executable, str(path)], folder / "log")


class TestMeasure:
    def test_memory_is_summed_over_the_tree(self, tmp_path: pathlib.Path) -> None:
        """Work done in child processes counts: eventsift's own does.

        Seen to fail with the children left out of ``_members``.
        """
        used = python(tmp_path, TREE)
        assert 128 * MIB <= used.peak.private < 256 * MIB
        assert used.peak.file_backed > 0

    def test_processor_time_of_orphans_counts(self, tmp_path: pathlib.Path) -> None:
        """A JVM is still busy when the program that started it has ended.

        Seen to fail without ``_reap``.
        """
        assert python(tmp_path, ORPHAN).cpu_seconds >= 0.5

    def test_mapped_files_are_told_apart(self, tmp_path: pathlib.Path) -> None:
        """What is mapped from a file is no need for memory."""
        (tmp_path / "file").write_bytes(bytes(64 * MIB))
        program = f"""
import mmap, sys
with open({str(tmp_path / "file")!r}, "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    sum(mapped[at] for at in range(0, len(mapped), 4096))
    deadline = __import__("time").process_time() + 0.3
    while __import__("time").process_time() < deadline:
        pass
"""
        used = python(tmp_path, program)
        assert used.peak.file_backed >= 64 * MIB
        assert used.peak.private < 64 * MIB

    def test_failures_are_told(self, tmp_path: pathlib.Path) -> None:
        """A program that fails has no figures, and its last words are what is needed."""
        with pytest.raises(CommandError, match=r"status 3 .* no more memory"):
            python(tmp_path, "import sys; print('no more memory'); sys.exit(3)")

    def test_a_process_that_is_gone_holds_nothing(self) -> None:
        """The tree changes while it is looked at."""
        assert measure.tree_memory(session=2**31) == Memory(0, 0)


class TestData:
    def test_made_once(self, tmp_path: pathlib.Path) -> None:
        """Input is kept from run to run, and made afresh when something else is asked for."""
        options = Options(events=100, output=tmp_path / "events")
        first = data.made(options)
        inode = os.stat(tmp_path / "events/events-00000.jsonl").st_ino
        assert data.made(options) == first
        assert os.stat(tmp_path / "events/events-00000.jsonl").st_ino == inode
        assert data.made(options._replace(events=200)).summary.events == 200
        assert len((tmp_path / "events/events-00000.jsonl").read_text().splitlines()) == 200

    def test_made_again_after_an_interruption(self, tmp_path: pathlib.Path) -> None:
        """Half a delivery is never taken for a whole one."""
        options = Options(events=100, output=tmp_path / "events")
        data.made(options)
        (tmp_path / "events.made").unlink()
        (tmp_path / "events/events-00000.jsonl").write_text("")
        data.made(options)
        assert (tmp_path / "events/events-00000.jsonl").stat().st_size > 0

    def test_git_does_not_see_the_work_folder(self, tmp_path: pathlib.Path) -> None:
        """Gigabytes of input must not be added by accident."""
        work = data.work_folder(tmp_path / "work")
        assert (work / ".gitignore").read_text() == "*\n"


def delivery(folder: pathlib.Path, events: list[dict[str, object]]) -> data.Delivery:
    """Events as a delivery that the generator could have made."""
    made = data.made(Options(events=1, output=folder / "events"))
    (made.folder / "events-00000.jsonl").write_text(
        "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events)
    )
    return made


def event(event_id: str, timestamp: str, data: object) -> dict[str, object]:
    """An event of one kind."""
    fields = {"event_id": event_id, "timestamp": timestamp, "domain": "card"}
    return {**fields, "event_type": "issued", "data": data}


def stored(folder: pathlib.Path, rows: str, name: str = "table") -> pathlib.Path:
    """A table with rows of (event_id, timestamp, data), all of the same destination."""
    table = folder / name
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            SET TimeZone = 'UTC';
            COPY (
              SELECT event_id, timestamp::TIMESTAMPTZ AS timestamp, data, 'card' AS domain,
                'issued' AS event_type, 2021 AS year, 1 AS month, 1 AS day
              FROM (VALUES {rows}) AS row(event_id, timestamp, data)
            ) TO '{table}' (FORMAT parquet, PARTITION_BY (domain, event_type, year, month, day))
            """
        )
    return table


class TestContents:
    def digests(self, folder: pathlib.Path, *tables: str) -> list[contents.Contents]:
        """The contents of tables made of the event 00a, which is not tied, and 00b, which is."""
        made = delivery(
            folder,
            [
                event("00a", "2021-01-01T10:00:00Z", {"n": 0.123456789}),
                event("00b", "2021-01-01 10:00:00", {"n": 1}),
                event("00b", "2021-01-01T11:00:00+01:00", {"n": 2}),
            ],
        )
        reference = data.reference(made)
        return [
            contents.contents(stored(folder, rows, f"table-{at}"), reference)
            for at, rows in enumerate(tables)
        ]

    def test_a_payload_written_in_another_way_is_the_same(self, tmp_path: pathlib.Path) -> None:
        """Programs that parse a payload and write it again are compared by its values."""
        delivered, rewritten = self.digests(
            tmp_path,
            """('00a', '2021-01-01T10:00:00Z', '{"n":0.123456789}')""",
            """('00a', '2021-01-01T10:00:00Z', '{ "n": 0.123456788 }')""",
        )
        assert delivered.events == rewritten.events
        assert (delivered.verbatim, rewritten.verbatim) == (1.0, 0.0)

    @pytest.mark.parametrize(
        "row",
        [
            """('00a', '2021-01-01T10:00:00Z', '{"n":0.2}')""",
            """('00a', '2021-01-01T10:00:01Z', '{"n":0.123456789}')""",
            """('00c', '2021-01-01T10:00:00Z', '{"n":0.123456789}')""",
        ],
        ids=["payload", "timestamp", "event_id"],
    )
    def test_another_row_is_not(self, tmp_path: pathlib.Path, row: str) -> None:
        """A program that gets a row wrong is found out.

        Seen to fail with each of the columns left out of the digest.
        """
        one, other = self.digests(
            tmp_path, """('00a', '2021-01-01T10:00:00Z', '{"n":0.123456789}')""", row
        )
        assert one.events != other.events
        with pytest.raises(build.DisagreementError):
            build.check({build.YARDSTICK: one, "polars": other})

    def test_ties_may_be_broken_in_any_way(self, tmp_path: pathlib.Path) -> None:
        """Which of two versions at one instant wins is each program's choice, but one must."""
        first, second, both = self.digests(
            tmp_path,
            """('00b', '2021-01-01T10:00:00Z', '{"n":1}')""",
            """('00b', '2021-01-01T10:00:00Z', '{"n":2}')""",
            """('00b', '2021-01-01T10:00:00Z', '{"n":1}'),
               ('00b', '2021-01-01T10:00:00Z', '{"n":2}')""",
        )
        build.check({build.YARDSTICK: first, "polars": second})
        with pytest.raises(build.DisagreementError, match="rows: polars has 2, duckdb 1"):
            build.check({build.YARDSTICK: first, "polars": both})


class TestTables:
    def test_aligned(self) -> None:
        """The table is read as text, too."""
        assert tables.markdown(["", "s"], [["a", "1.0"], ["bcd", "12.0"]]).splitlines() == [
            "|     |    s |",
            "| --- | ---: |",
            "| a   |  1.0 |",
            "| bcd | 12.0 |",
        ]

    def test_ratios_compare_neighbours_in_time(self) -> None:
        """A slow minute of the machine must not look like a slow program."""
        assert tables.ratios([2.0, 9.0, 2.0], [1.0, 3.0, 2.0]) == "1.00 / 2.00 / 3.00"


def test_build(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole instrument: eventsift and DuckDB make the same table, and a report of it."""
    arguments = ["build", "--events", "2000", "--rounds", "1", "--peers", "duckdb"]
    report = tmp_path / "report.md"
    assert main([*arguments, "--work", str(tmp_path / "work"), "--markdown", str(report)]) == 0
    lines = report.read_text().splitlines()
    assert lines[2].startswith("| DuckDB COPY")
    assert lines[3].startswith("| **eventsift** ")
    assert lines[3].endswith(" 100% |")
    assert "2,000 events" in lines[5]
    assert "1,800 rows, the same in all tables" in lines[5]
    assert capsys.readouterr().out.endswith(report.read_text())


def test_fallbacks(tmp_path: pathlib.Path) -> None:
    """Each kind of input has the same events, and is compared with the clean one."""
    results = fallbacks.measure(200, 1, tmp_path, only=["files of 2 KB"])
    assert [result.delivery.summary.files for result in results.values()] == [4, 25]
    assert [result.delivery.summary.events for result in results.values()] == [200, 200]
    assert "| files of 2 KB " in fallbacks.markdown(results)


def test_merge(tmp_path: pathlib.Path) -> None:
    """Both merges give the same table, and the delivery has what it is said to have."""
    cases = [merge.Case(2000, 100, spread=False)]
    (result,) = merge.measure(cases, 1, tmp_path)
    assert result.known == 10
    assert "| one day |" in merge.markdown([result])


def test_a_local_delivery_lies_in_one_day(tmp_path: pathlib.Path) -> None:
    """The figures for *local* and *spread* would be the same otherwise."""

    def days(spread: bool) -> int:
        parts = merge.delivery(merge.Case(2000, 200, spread), 1800, tmp_path)
        patterns = [part.pattern for part in parts]
        with duckdb.connect() as connection:
            found = connection.execute(
                "SELECT count(DISTINCT (timestamp::TIMESTAMPTZ AT TIME ZONE 'UTC')::DATE)"
                " FROM read_json(?, columns = {timestamp: 'VARCHAR'})",
                [patterns],
            ).fetchone()
        assert found is not None
        return int(found[0])

    assert days(spread=False) == 1
    assert days(spread=True) == 14


def test_missing_peers_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Without Java there is no Spark; the others are measured all the same."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert programs.missing("spark") == "the program java"
    assert programs.missing("duckdb") is None
