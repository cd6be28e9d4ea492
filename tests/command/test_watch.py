"""Watch mode: which files a poll takes, and a watching process from start to stop."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import pytest
from deltalake import DeltaTable

from pipeline import signals, storage
from pipeline.amounts import counted
from pipeline.bookkeeping import ledger, listings
from pipeline.command import options, watch
from pipeline.storage import FileInfo
from pipeline.table import delta
from pipeline.table.address import Table
from tests import deliveries, tables
from tests.bookkeeping import test_ledger
from tests.deliveries import Event

ROOT = Path(__file__).resolve().parents[2]


def names(files: Sequence[FileInfo]) -> list[str]:
    """The files' names."""
    return [Path(file.path).name for file in files]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """An input folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def poll(tmp_path: Path, inputs: Path) -> watch.Poll:
    """A poll of all files in it, for a table beside it."""
    return watch.Poll([str(inputs)], Table(str(tmp_path / "table")))


class TestPoll:
    def test_a_file_is_complete_when_it_has_not_changed_since_the_last_poll(
        self, poll: watch.Poll, inputs: Path
    ) -> None:
        """A file that is still being written is not read."""
        (inputs / "a").write_text("1")
        first = poll.look()
        (inputs / "a").write_text("12")
        (inputs / "b").write_text("1")
        second = poll.look()
        third = poll.look()

        assert (names(first.complete), names(first.growing)) == ([], ["a"])
        assert (names(second.complete), names(second.growing)) == ([], ["a", "b"])
        assert (names(third.complete), names(third.growing)) == (["a", "b"], [])

    def test_a_file_rewritten_in_its_size_has_changed(self, poll: watch.Poll, inputs: Path) -> None:
        """The modification time counts as much as the size."""
        (inputs / "a").write_text("1")
        poll.look()
        os.utime(inputs / "a", ns=(1, 1))

        assert names(poll.look().growing) == ["a"]

    @pytest.mark.parametrize(
        "name", ["a.jsonl.tmp", "a.part", "a.PARTIAL", "a.crdownload", "a.filepart", "a~", ".a.swp"]
    )
    def test_temporary_names_are_left_alone(
        self, poll: watch.Poll, inputs: Path, name: str
    ) -> None:
        """What another program renames when it is done is not read before."""
        (inputs / name).write_text("1")
        (inputs / "a.part.jsonl").write_text("1")
        poll.look()

        assert names(poll.look().complete) == ["a.part.jsonl"]

    def publish(self, root: Path, file: Path, version: int) -> None:
        """Enters a file in the ledger."""
        listing = str(root.parent / "listing")
        listings.write(listing, storage.match([str(file)]).files)
        table = Table(str(root))
        ledger.extend(table, listing, version, delta.load(table).lineage)

    def test_what_was_published_is_not_new_until_it_changes(
        self, tmp_path: Path, poll: watch.Poll, inputs: Path
    ) -> None:
        """The ledger is asked, also about what another process has published meanwhile."""
        root = tmp_path / "table"
        test_ledger.make_table(root)
        (inputs / "a").write_text("1")
        (inputs / "b").write_text("1")
        poll.look()
        self.publish(root, inputs / "a", 0)
        published = poll.look()
        self.publish(root, inputs / "b", test_ledger.next_version(root))
        everything = poll.look()
        (inputs / "a").write_text("12")
        changed = poll.look()

        assert names(published.complete) == ["b"]
        assert everything == ([], [])
        assert names(changed.growing) == ["a"]

    def test_own_files_are_not_new(self, tmp_path: Path) -> None:
        """A table, or the temp folder, inside the input: each round would find the last one's."""
        for name in ("in/a", "in/table/domain=a/b", "in/table/_eventsift/rejects/c", "in/tmp/d"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("1")
        patterns = [f"{tmp_path}/in/**", f"{tmp_path}/in/**/_*/*/*"]
        poll = watch.Poll(patterns, Table(f"{tmp_path}/in/table"), temp=f"{tmp_path}/in/tmp")

        assert names(poll.look().growing) == ["a"]

    def test_what_cannot_be_read_waits_for_itself_only(
        self, poll: watch.Poll, inputs: Path
    ) -> None:
        """Good files are found; a file that becomes readable is new. Temporary names are left."""
        (inputs / "a").write_text("1")
        (inputs / "b").symlink_to("nothing")
        (inputs / "c.part").symlink_to("nothing")
        first, left_out = poll.look(), poll.left_out
        (inputs / "b").unlink()
        (inputs / "b").write_text("1")
        second = poll.look()

        assert names(first.growing) == ["a"]
        assert [(Path(path).name, reason) for path, reason in left_out] == [
            ("b", "a link to nothing")
        ]
        assert (names(second.complete), names(second.growing)) == (["a"], ["b"])
        assert poll.left_out == []

    @pytest.mark.parametrize("how", ["removed", "replaced", "restored"])
    def test_what_left_the_table_is_new(
        self, tmp_path: Path, poll: watch.Poll, inputs: Path, how: str
    ) -> None:
        """The ledger has not changed, but the table has, by whoever it was.

        Seen to fail: only a change of the ledger was noticed.
        """
        root = tmp_path / "table"
        test_ledger.make_table(root)
        (inputs / "a").write_text("1")
        self.publish(root, inputs / "a", test_ledger.next_version(root))
        assert poll.look() == ([], [])
        if how == "restored":
            DeltaTable(str(root)).restore(0)
        else:
            shutil.rmtree(root / "_delta_log")
            if how == "replaced":
                test_ledger.make_table(root)

        assert names(poll.look().growing) == ["a"]
        assert names(poll.look().complete) == ["a"]

    def test_a_poll_opens_the_log_only_if_it_has_changed(
        self, tmp_path: Path, poll: watch.Poll, inputs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may come every second, for years, on a large table."""
        root = tmp_path / "table"
        test_ledger.make_table(root)
        (inputs / "a").write_text("1")
        self.publish(root, inputs / "a", 0)
        poll.look()
        monkeypatch.setattr(ledger, "published", None)

        assert poll.look() == poll.look() == ([], [])


class TestWatch:
    def test_what_is_left_out_is_named_once(
        self, inputs: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """And again only when it was away in between; the good file's round takes place."""
        (inputs / "a").write_text("1")
        rounds = iter(range(100))
        look = watch.Poll.look

        def look_and_change(poll: watch.Poll) -> watch.Found:
            number = next(rounds)
            if number in (0, 4):
                os.mkfifo(inputs / "pipe")
            if number == 3:
                (inputs / "pipe").unlink()
            if number == 6:
                stop(signal.SIGTERM)
            return look(poll)

        read: list[list[str]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(watch.Poll, "look", look_and_change)
            watch.watch(
                [str(inputs)],
                Table(str(inputs / "table")),
                0.0,
                lambda files: read.append(names(files)) or 0,
            )

        said = [line for line in capfd.readouterr().out.splitlines() if "left out" in line]
        line = f"eventsift: left out until they can be read: {inputs}/pipe: a pipe, not a file"
        assert said == [line, line]
        assert read[0] == ["a"]

    def test_a_round_that_fails_is_tried_again(
        self, tmp_path: Path, inputs: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A full disk or a lost race does not end the watching; a signal does."""
        (inputs / "a").write_text("1")
        rounds: list[list[str]] = []

        def run(files: Sequence[FileInfo]) -> int:
            rounds.append(names(files))
            if len(rounds) == 2:
                stop(signal.SIGTERM)
            return 1

        code = watch.watch([str(inputs)], Table(str(tmp_path / "table")), 0.0, run)

        assert code == 143
        assert rounds == [["a"], ["a"]]
        lines = capfd.readouterr().out.splitlines()
        assert [line.partition(" ")[2].split(" ")[0] for line in lines] == [
            "watching",
            "1",
            "stopping",
            "stopped",
        ]

    def test_a_line_a_round(
        self, tmp_path: Path, inputs: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """The last line says how things stand; nothing is repeated while they stay so."""
        rounds = iter(range(100))

        def run(_: Sequence[FileInfo]) -> int:
            print("eventsift: run")
            return 0

        def look(_: watch.Poll) -> watch.Found:
            files = [FileInfo("a", 1, 1.0)]
            number = next(rounds)
            if number == 8:
                stop(signal.SIGTERM)
            return watch.Found(files if number == 5 else [], files if number in (2, 3, 4) else [])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(watch.Poll, "look", look)
            watch.watch([str(inputs)], Table(str(tmp_path)), 0.0, run)

        assert [line.split(" ", 1)[1] for line in capfd.readouterr().out.splitlines()][1:] == [
            "nothing new",
            "1 new files, left until they no longer change",
            "run",
            "nothing new",
            "stopped",
        ]

    def test_an_input_that_cannot_be_listed_for_a_while_ends_nothing(
        self, tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A network drive that is away comes back."""
        (inputs / "a").write_text("1")
        look, away = watch.Poll.look, iter([False, True, False])

        def look_if_there(poll: watch.Poll) -> watch.Found:
            if next(away):
                raise PermissionError("no")
            return look(poll)

        def run(files: Sequence[FileInfo]) -> int:
            stop(signal.SIGINT)
            return 0

        monkeypatch.setattr(watch.Poll, "look", look_if_there)

        assert watch.watch([str(inputs)], Table(str(tmp_path / "table")), 0.0, run) == 130

    def test_files_with_too_many_rejects_are_tried_once(
        self, tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the same files a run is refused again; another file may change the share.

        After any other failure the same files are tried again.
        """
        bad, more = FileInfo("bad", 1, 1.0), FileInfo("more", 1, 1.0)
        polls = [[], [bad], [bad], [bad], [bad, more], [bad, more], [more], [more], [more]]
        codes = iter([3, 3, 1, 0])
        looks = iter(polls)
        rounds: list[list[str]] = []

        def run(files: Sequence[FileInfo]) -> int:
            rounds.append(names(files))
            if (code := next(codes)) == 0:
                stop(signal.SIGTERM)
            return code

        monkeypatch.setattr(watch.Poll, "look", lambda _: watch.Found(next(looks), []))
        watch.watch([str(inputs)], Table(str(tmp_path / "table")), 0.0, run)

        assert rounds == [["bad"], ["bad", "more"], ["more"], ["more"]]

    def test_a_refused_round_is_one_line(self, tmp_path: Path, inputs: Path) -> None:
        """It goes on, and publishes once enough good records have come; the real command."""
        (inputs / "bad.jsonl").write_text("oops\n")
        root = tmp_path / "table"
        with started(inputs, root, "--max-rejected", "40%") as process:
            assert process.stdout and process.stderr
            first = process.stderr.readline()
            deliveries.deliver(inputs / "good.tmp", [Event("a", 1), Event("b", 2)]).rename(
                inputs / "good.jsonl"
            )
            assert "2 files, 3 events: 2 kept" in until(process.stdout, "run ")
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()

        assert "1 of 1 records (100%) were rejected, --max-rejected 40% allows no more" in first
        assert (process.returncode, rest) == (143, "")


def stop(number: int) -> None:
    """What a signal does to this process's watching."""
    for asked in signals._patience:
        asked.ask(number)


@contextlib.contextmanager
def started(inputs: Path, root: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A watching process, which a test that fails does not leave behind."""
    arguments = ["--input", inputs, "--output", root, "--watch", "0.05s", "--workers", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", *map(str, arguments), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_watching_process(tmp_path: Path, inputs: Path, number: signal.Signals) -> None:
    """From start to stop: publishes what comes, a line and a record a round, ends in order."""
    delivered = [Event("a", 1), Event("b", 2), Event("b", 3)]
    root = tmp_path / "table"
    with started(inputs, root) as process:
        assert process.stdout and process.stderr
        assert "watching" in until(process.stdout, "watching")
        for name, events in (("one", delivered[:2]), ("two", delivered[2:])):
            # Moved in, as it should be done, so that it is read once.
            deliveries.deliver(inputs / f"{name}.tmp", events).rename(inputs / f"{name}.jsonl")
            assert f"1 file, {counted(len(events), 'event')}" in until(process.stdout, "run ")
        process.send_signal(number)
        assert until(process.stdout, "stopped")
        errors = process.stderr.read()

    assert (process.returncode, errors) == (143 if number == signal.SIGTERM else -number, "")
    assert tables.delta_rows(root) == tables.plain_rows(root) == deliveries.latest(delivered)
    assert len(list((root / "_eventsift" / "runs").iterdir())) == 2
    assert tables.strays(root) == []


def until(lines: TextIO, word: str) -> str:
    """The next line with a word in it; "" if there is none."""
    return next((line for line in lines if word in line), "")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("7d", 604_800), ("2", 2)]
)
def test_times_are_understood(text: str, seconds: float) -> None:
    """People write 30s."""
    assert options.parser().parse_args(["--watch", text]).watch == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1w", "1 s", "1ss", "nan"])
def test_other_times_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the value and the way out, not a surprise later."""
    with pytest.raises(SystemExit):
        options.parser().parse_args([f"--watch={text}"])
    assert f"{text!r} is not a time such as 30s" in capsys.readouterr().err
