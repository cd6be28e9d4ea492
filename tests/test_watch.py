"""Watch mode: which files a poll takes, and a watching process from start to stop."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import pytest
from deltalake import DeltaTable

from pipeline import ledger, options, storage, watch
from pipeline.storage import FileInfo
from tests import deliveries, test_ledger
from tests.deliveries import Event

ROOT = Path(__file__).resolve().parent.parent


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
    return watch.Poll([str(inputs)], str(tmp_path / "table"))


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
        ledger.write(listing, storage.match([str(file)]))
        ledger.extend(str(root), listing, version)

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
    def test_a_round_that_fails_is_tried_again(
        self, tmp_path: Path, inputs: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A full disk or a lost race does not end the watching; a signal does."""
        (inputs / "a").write_text("1")
        rounds: list[list[str]] = []

        def run(files: Sequence[FileInfo]) -> int:
            rounds.append(names(files))
            if len(rounds) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return 1

        before = signal.getsignal(signal.SIGTERM)
        code = watch.watch([str(inputs)], str(tmp_path / "table"), 0.0, run)

        assert code == 0
        assert rounds == [["a"], ["a"]]
        assert signal.getsignal(signal.SIGTERM) is before
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

        def look(_: watch.Poll) -> watch.Found:
            files = [FileInfo("a", 1, 1.0)]
            number = next(rounds)
            if number == 8:
                os.kill(os.getpid(), signal.SIGTERM)
            return watch.Found(files if number == 5 else [], files if number in (2, 3, 4) else [])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(watch.Poll, "look", look)
            watch.watch([str(inputs)], str(tmp_path), 0.0, lambda _: print("eventsift: run"))

        assert [line.split(" ", 1)[1] for line in capfd.readouterr().out.splitlines()][1:] == [
            "nothing new",
            "1 new files, left until they no longer change",
            "run",
            "nothing new",
            "stopping after this round",
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

        def run(files: Sequence[FileInfo]) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(watch.Poll, "look", look_if_there)

        assert watch.watch([str(inputs)], str(tmp_path / "table"), 0.0, run) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_watching_process(tmp_path: Path, inputs: Path, number: signal.Signals) -> None:
    """From start to stop: publishes what comes, a line and a record a round, ends in order."""
    delivered = [Event("a", 1), Event("b", 2), Event("b", 3)]
    root = tmp_path / "table"
    arguments = ["--input", inputs, "--output", root, "--watch", "0.05s", "--workers", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout and process.stderr
        assert "watching" in until(process.stdout, "watching")
        for name, events in (("one", delivered[:2]), ("two", delivered[2:])):
            # Moved in, as it should be done, so that it is read once.
            deliveries.deliver(inputs / f"{name}.tmp", events).rename(inputs / f"{name}.jsonl")
            assert f"1 files, {len(events)} events" in until(process.stdout, "run ")
        process.send_signal(number)
        assert until(process.stdout, "stopped")
        errors = process.stderr.read()

    assert (process.returncode, errors) == (0, "")
    assert (
        deliveries.delta_rows(root) == deliveries.plain_rows(root) == deliveries.oracle(delivered)
    )
    assert len(list((root / "_eventsift" / "runs").iterdir())) == 2
    assert deliveries.strays(root) == []


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
