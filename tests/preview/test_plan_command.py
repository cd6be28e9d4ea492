"""What a plan tells, that it is what a run then does, and that nothing is written."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.bookkeeping import leases
from pipeline.command import console, job
from pipeline.preview import beginnings, command, expect
from pipeline.preview.facts import Preview
from pipeline.preview.look import look
from pipeline.run import new_run_id
from pipeline.storage import FileInfo
from tests.small_runs import line, newest, run, write


def plan(source: Path, output: Path, *options: str, code: int = console.DONE) -> None:
    """Runs the command, which must end with `code`."""
    arguments = ["--input", str(source), "--output", str(output), *options]
    assert command.main(arguments) == code


def preview(source: Path, output: Path, *options: str) -> Preview:
    """What a run would do."""
    from pipeline.command import options as own

    arguments = ["--input", str(source), "--output", str(output), "--workers", "1", *options]
    wanted = job.asked(own.parser(), arguments)
    return look(wanted.as_run(new_run_id()), wanted.workers)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time and content of each file in a folder, and the folders."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def words(text: str) -> str:
    """A text without its line breaks and columns."""
    return " ".join(text.split())


def whats(found: Preview) -> list[str]:
    """What is likely to go wrong."""
    return [trouble.what for trouble in found.troubles]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table, whose files are in `in`."""
    write(tmp_path / "in" / "1.jsonl", line("a"), line("b", "2021-01-09T00:00:00Z"))
    write(tmp_path / "in" / "2.jsonl", line("c", "2021-03-01T00:00:00Z"))
    run(tmp_path / "in", tmp_path / "table")
    return tmp_path / "table"


def test_nothing_is_written(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not beside the table, nor in temp, nor where there is no table; damage stays, too."""
    folder = table.parent
    write(folder / "in" / "3.jsonl", line("d"), "oops")
    (table / "_eventsift" / "ledger.arrow.zst").write_bytes(b"damaged")
    (table / "_eventsift" / "alive" / "20210101T000000-aaaaaa").write_bytes(b"{}")
    before = everything(folder)

    plan(folder / "in", table, "--temp", str(folder / "temp"), "--rebuild")
    plan(folder / "in", table)
    plan(folder / "in", folder / "new" / "table")
    plan(folder / "nowhere", table, code=console.FAILED)

    assert everything(folder) == before
    assert capsys.readouterr().out.count("(nothing was written)") == 3


def test_it_is_what_a_run_then_does(table: Path) -> None:
    """New, changed and skipped files, their records, and how far the table is searched."""
    folder = table.parent / "in"
    write(folder / "1.jsonl", line("a", "2021-01-08T11:00:00Z"), "oops")
    write(folder / "3.jsonl", line("d", event_type="sale"), line("e", "2021-01-10T00:00:00Z"))

    found = preview(folder, table, "--dedup-days", "3")
    done = run(folder, table, "--dedup-days", "3")

    assert (found.input.files, found.input.changed, found.input.skipped) == (2, 1, 1)
    assert (done.files.read, done.files.skipped) == (2, 1)
    assert found.input.bytes == done.bytes
    assert (found.input.events, found.input.rejected) == (3, 1)
    assert (done.events.read, done.events.rejected) == (4, 1)
    assert found.expected.events == 4
    assert found.merge.new_types == done.new_types == [("account", "sale")]
    assert found.merge.version == 1
    assert done.horizon is not None
    assert found.merge.all_files - found.merge.searched_files == done.horizon.files_not_searched
    assert (found.merge.searched_files, found.merge.searched_rows) == (2, 2)
    assert (found.merge.partitions, found.merge.known_partitions) == (3, 1)
    assert whats(found)[0] == "1 of 4 records in the beginnings would be rejected"


def test_a_run_without_news(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, and nothing of time or room."""
    plan(table.parent / "in", table)
    text = capsys.readouterr().out
    assert "input       nothing new; 2 skipped: published before" in text
    assert text.endswith("\n\nA run would find nothing new.\n")
    assert "expect" not in text


def test_a_rebuild_reads_all(table: Path) -> None:
    """And searches nothing."""
    found = preview(table.parent / "in", table, "--rebuild")
    assert (found.input.files, found.input.skipped) == (2, 0)
    assert found.merge.searched_files == 0
    assert found.rebuild


class TestKinds:
    """What a file is, told from its content."""

    ONE, TWO = line("a"), line("b")

    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (f"{ONE}\n{TWO}\n".encode(), "JSON Lines"),
            (f"{ONE}\r\n\r\n{TWO}".encode(), "JSON Lines"),
            (f"{ONE}{TWO}".encode(), "objects in one line"),
            (f"{ONE} {TWO}".encode(), "objects in one line"),
            (ONE.encode(), "a single object"),
            (f"\ufeff [\n{ONE},\n{TWO}\n]".encode(), "a JSON array"),
            (json.dumps(json.loads(ONE), indent=2).encode() * 2, "indented objects"),
            (f"{ONE}\n{TWO}\n".encode("utf-16"), "JSON Lines, UTF-16-LE"),
            (gzip.compress(f"{ONE}\n{TWO}\n".encode()), "JSON Lines, gzip"),
            (gzip.compress(f"{ONE}\n{TWO}\n".encode("utf-16")), "JSON Lines, UTF-16-LE, gzip"),
        ],
    )
    def test_framing_encoding_and_compression(
        self, tmp_path: Path, content: bytes, kind: str
    ) -> None:
        """With the first event."""
        (tmp_path / "in.dat").write_bytes(content)
        found = preview(tmp_path / "in.dat", tmp_path / "out")
        (one,) = found.input.kinds
        assert (one.kind, one.files) == (kind, 1)
        assert json.loads(one.first) == json.loads(self.ONE)
        assert found.troubles == []

    def test_a_large_file_is_only_begun(self, tmp_path: Path) -> None:
        """Where its beginning ends is not the end of the file: nothing is rejected there."""
        for name, before, between, after in [
            ("lines", "", "\n", "\n"),
            ("array", "[", ",", "]"),
            ("gz", "", "\n", ""),
        ]:
            rows = [line(f"{n}", data="x" * 1000) for n in range(2000)]
            content = f"{before}{between.join(rows)}{after}".encode()
            path = tmp_path / name
            path.write_bytes(gzip.compress(content) if name == "gz" else content)

            found = preview(path, tmp_path / "out")

            assert found.troubles == []
            assert 100 < found.input.events < 2000
            assert found.expected.events is not None
            assert abs(found.expected.events - 2000) < 100

    def test_not_every_file_is_looked_into(self) -> None:
        """But some of each ending, wherever they are."""
        files = [FileInfo(f"/in/{n:05}.jsonl", 1, 0.0) for n in range(10_000)]
        odd = [FileInfo("/in/00000.a.gz", 1, 0.0), FileInfo("/in/09999.csv", 1, 0.0)]
        chosen = beginnings.chosen(sorted([*files, *odd]))
        assert len(chosen) <= 64
        assert set(odd) <= set(chosen)
        spread = [int(file.path[4:9]) for file in chosen if file not in odd]
        assert max(b - a for a, b in itertools.pairwise(spread)) < 400


class TestTrouble:
    """What is likely to go wrong, and the way out."""

    def test_fields_are_called_otherwise(self, tmp_path: Path) -> None:
        """It says what they are called, with the very option to read them with."""
        record = '{"id": "1", "ts": "2021-01-08", "source": "a", "type": "b", "payload": {}}'
        found = preview(write(tmp_path / "in.jsonl", record, record), tmp_path / "out")
        first, second = found.troubles
        assert first.stops
        assert first.what == "every record in the beginnings would be rejected (2)"
        assert second.what.endswith(
            "; read it with --fields"
            " event_id=id,timestamp=ts,domain=source,event_type=type,data=payload"
        )

    def test_times_that_are_numbers(self, tmp_path: Path) -> None:
        """How they have to be written."""
        record = line("a").replace('"2021-01-08T10:00:00Z"', "1610100000")
        found = preview(write(tmp_path / "in.jsonl", record), tmp_path / "out")
        assert "write it as ISO 8601, such as 2021-01-08T10:00:00Z" in whats(found)[1]

    def test_files_of_another_kind(self, tmp_path: Path) -> None:
        """They are named; the others can be read."""
        write(tmp_path / "in" / "1.jsonl", line("a"))
        (tmp_path / "in" / "2.gz").write_bytes(gzip.compress(line("b").encode())[:-9])
        (tmp_path / "in" / "3.parquet").write_bytes(b"PAR1" + bytes(100))
        (tmp_path / "in" / "4.jsonl").touch()
        found = preview(tmp_path / "in", tmp_path / "out")
        said = " ".join(whats(found))
        assert "gzip data ends before its end mark" in said
        assert (
            "the file is a Parquet file, not JSON: convert it, or leave it out of --input" in said
        )
        assert "1 file of no bytes" in said
        assert not any(trouble.stops for trouble in found.troubles)

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        """As the run will name them."""
        write(tmp_path / "in" / "1.jsonl", line("a"))
        (tmp_path / "in" / "2.jsonl").symlink_to(tmp_path / "nowhere")
        found = preview(tmp_path / "in", tmp_path / "out")
        assert found.input.left_out == 1
        assert "1 file cannot be read, and would be left out:" in whats(found)[0]

    def test_more_rejects_or_partitions_than_allowed(self, tmp_path: Path) -> None:
        """The run would publish nothing."""
        source = write(tmp_path / "in.jsonl", line("a"), line("b", event_type="c"), "oops")
        for options, sentence in [
            (["--max-rejected", "10%"], "--max-rejected allows 10%"),
            (["--max-partitions", "1"], "2 partitions, the limit is 1"),
        ]:
            found = preview(source, tmp_path / "out", *options)
            stopping = [trouble.what for trouble in found.troubles if trouble.stops]
            assert len(stopping) == 1
            assert sentence in stopping[0]
            plan(source, tmp_path / "out", *options, code=console.REJECTED)

    def test_no_room(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """For what is staged, or for the table."""
        source = write(tmp_path / "in.jsonl", *(line(f"{n}") for n in range(100)))
        monkeypatch.setattr(expect, "free", lambda folder: 100 if "temp" in folder else None)
        found = preview(source, tmp_path / "out", "--temp", str(tmp_path / "temp"))
        assert found.troubles[0].stops
        assert "100 bytes are free; free some, or stage elsewhere" in found.troubles[0].what

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="locks")
    def test_another_run_is_under_way(self, table: Path) -> None:
        """Of two, one starts again."""
        other = new_run_id()
        with leases.hold(str(table), other, str(table / "_eventsift" / "temp" / other)):
            found = preview(table.parent / "in", table)
        assert whats(found)[0].startswith(f"under way: 1 run of this table ({other})")


class TestExpectations:
    """Estimates, from earlier runs where there are any."""

    def test_time_is_that_of_earlier_runs(
        self, table: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A run like those before takes as long as they took."""
        monkeypatch.setattr(expect, "_TELLING_BYTES", 1)
        monkeypatch.setattr(expect, "_LEAST_SECONDS", 0.0)
        before = newest(table)
        found = preview(table.parent / "in", table, "--rebuild").expected
        assert found.like_runs == 1
        assert found.seconds == pytest.approx(before.wall_seconds)

    def test_compressed_files_have_more_content(self, tmp_path: Path) -> None:
        """Room and memory go by what is in them."""
        rows = "\n".join(line(f"{n}") for n in range(2000)).encode()
        (tmp_path / "in.jsonl").write_bytes(rows)
        (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(rows))
        plain = preview(tmp_path / "in.jsonl", tmp_path / "out").expected
        packed = preview(tmp_path / "in.jsonl.gz", tmp_path / "out").expected
        assert plain.events == packed.events == 2000
        assert packed.temp_bytes == pytest.approx(plain.temp_bytes, rel=0.01)


class TestCommand:
    """What is printed, and how it ends."""

    def test_what_people_see(self, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """In 80 columns, but for paths; the last line says what to do."""
        write(table.parent / "in" / "3.jsonl", line("d" * 300), "oops")
        plan(table.parent / "in", table)
        lines = capsys.readouterr().out.splitlines()
        assert [one for one in lines if len(one) > 80 and str(table.parent) not in one] == []
        assert lines[-1] == "A run can begin: give the same options to `run`."
        assert "search 3 of 3 files of the table for older versions (3 rows)" in words(
            " ".join(lines)
        )

    def test_json(self, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The report of a plan is a plan."""
        plan(table.parent / "in", table, "--report-json", "-")
        assert json.loads(capsys.readouterr().out)["input"]["skipped"] == 2
        target = table.parent / "plan.json"
        plan(table.parent / "in", table, "--report-json", str(target))
        assert json.loads(target.read_text())["merge"]["rows"] == 3

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--input", "nowhere/*", "--output", "out"], "no file matches "),
            (["--input", "nowhere/*", "--output", "out"], ": there is no folder "),
            (["--input", "in", "--output", "foreign"], "not empty, but no Delta table either"),
            (["--input", "in", "--output", "in/1.jsonl"], "is a file, not a folder"),
        ],
    )
    def test_what_no_run_could_begin_with_is_1(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: Sequence[str],
        sentence: str,
    ) -> None:
        """In the words of the run."""
        monkeypatch.chdir(tmp_path)
        write(tmp_path / "in" / "1.jsonl", line("a"))
        write(tmp_path / "foreign" / "notes.txt", "mine")
        assert command.main(arguments) == console.FAILED
        assert sentence in capsys.readouterr().err

    def test_it_takes_the_options_of_the_job(self, capsys: pytest.CaptureFixture[str]) -> None:
        """And refuses the same ones."""
        for options, sentence in [
            (["--output", "x"], "--input and --output are needed"),
            (["--input", "x", "--output", "y", "--ouput", "z"], "did you mean --output?"),
            (["--input", "x", "--output", "y", "--runner=Flnk"], "there is no such runner"),
        ]:
            with pytest.raises(SystemExit) as stopped:
                command.main(options)
            assert stopped.value.code == console.USAGE
            assert sentence in capsys.readouterr().err
