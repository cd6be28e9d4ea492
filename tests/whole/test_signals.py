"""Ctrl-C and SIGTERM, sent to real commands at any moment: how they end, and what they leave."""

from __future__ import annotations

import itertools
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from end_to_end import ROOT, event, expect, files_of, generate, published, run_here, write_events

from pipeline import signals
from pipeline.verify.check import verify

NOTHING = "Nothing was published; the table is as it was.\n"
WORDS = {signal.SIGHUP: "hung up", signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
# A process that dies of SIGINT has the negative code for Python, and 130 for a shell.
CODES = {signal.SIGHUP: 129, signal.SIGINT: -signal.SIGINT, signal.SIGTERM: 143}
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)

# Runs a module as its command line does, and stops in front of, or behind, one of its functions,
# until a file called "go on" is there.
HELD = """
import logging, pathlib, runpy, sys, time

logging.basicConfig(level=logging.CRITICAL)  # Beam talks while it is imported
module, function, when, reached, command = sys.argv[1:6]
from pipeline import signals
signals.install("eventsift", "Nothing was published; the table is as it was.")
signals.install = lambda *_: None
import importlib
owner = importlib.import_module(module)
real = getattr(owner, function)

def hold(*arguments, **options):
    if when == "after":
        real(*arguments, **options)
    pathlib.Path(reached).touch()
    while not pathlib.Path(reached).with_name("go on").exists():
        sum(range(1000))  # busy, in Python
    if when == "before":
        return real(*arguments, **options)

setattr(owner, function, hold)
sys.argv = sys.argv[5:]
runpy.run_module(command, run_name="__main__")
"""


def start(*command: str | Path, **options: Any) -> subprocess.Popen[str]:
    """A process in a group of its own, so that a signal to the group does not reach this one."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def listening(process: subprocess.Popen[str]) -> None:
    """Waits until a process has handlers of its own for both signals; Linux only."""
    wanted = 1 << (signal.SIGINT - 1) | 1 << (signal.SIGTERM - 1)
    while True:
        assert process.poll() is None, process.communicate()
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught & wanted == wanted:
            return
        time.sleep(0.002)


def held(
    folder: Path, place: str, command: str, *arguments: str | Path, **options: Any
) -> subprocess.Popen[str]:
    """A command that has come to a place: "before module.function" or "after …"."""
    when, _, name = place.partition(" ")
    module, _, function = name.rpartition(".")
    reached = folder / "reached"
    process = start("-c", HELD, module, function, when, reached, command, *arguments, **options)
    while not reached.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    reached.unlink()
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """How a process has ended: exit code and what it said; nothing of its group is left."""
    out, err = process.communicate(timeout=60)
    for _ in range(100):
        if not members(process.pid):
            break
        time.sleep(0.02)
    assert members(process.pid) == []
    return process.returncode, out, err


def members(session: int) -> list[str]:
    """The processes of a session; Linux only."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of one event, and beside it what was delivered."""
    folder = tmp_path_factory.mktemp("made")
    first = write_events(folder / "first.jsonl", event("a", "2021-01-08T10:00:00Z"))
    run_here(first, folder / "out")
    return folder


@pytest.fixture
def table(made: Path, tmp_path: Path) -> Path:
    """A copy of that table."""
    return Path(shutil.copytree(made / "out", tmp_path / "out"))


@pytest.fixture
def delivery(tmp_path: Path) -> Path:
    """What is delivered to it next."""
    return write_events(
        tmp_path / "new.jsonl",
        event("a", "2021-01-09T10:00:00Z"),
        event("b", "2021-01-08T10:00:00Z"),
    )


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("before pipeline.command.job.main", signal.SIGINT),
        ("before pipeline.steps.plan.plan", signal.SIGTERM),
        ("before pipeline.steps.read.read_block", signal.SIGINT),
        ("before pipeline.steps.write.write_shard", signal.SIGTERM),
        ("after pipeline.bookkeeping.journal.stage", signal.SIGINT),
        ("after pipeline.bookkeeping.journal.stage", signal.SIGTERM),
        ("after pipeline.bookkeeping.journal.stage", signal.SIGHUP),
    ],
)
def test_before_the_commit_nothing_has_happened(
    table: Path, delivery: Path, tmp_path: Path, number: signal.Signals, place: str
) -> None:
    """The signal goes to the whole group, twice, as `timeout` does it; all that was staged goes."""
    before = files_of(table)
    process = held(tmp_path, place, "pipeline", "--input", delivery, "--output", table)
    os.killpg(process.pid, number)
    os.killpg(process.pid, number)

    assert ended(process) == (CODES[number], "", f"eventsift: {WORDS[number]}\n{NOTHING}")

    assert files_of(table) == before
    hidden = [path for path in (table / "_eventsift").rglob("*") if path.is_file()]
    assert {path.parent.name for path in hidden} <= {"_eventsift", "runs"}


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("after pipeline.table.commits.commit", signal.SIGTERM),
        ("after pipeline.table.commits.commit", signal.SIGHUP),
        ("before pipeline.bookkeeping.journal.keep", signal.SIGINT),
        ("after pipeline.bookkeeping.journal.keep", signal.SIGTERM),
    ],
)
def test_after_the_commit_the_message_says_so(
    table: Path, delivery: Path, tmp_path: Path, number: signal.Signals, place: str
) -> None:
    """And the next run leaves the table right for every reader."""
    process = held(tmp_path, place, "pipeline", "--input", delivery, "--output", table)
    process.send_signal(number)

    code, out, err = ended(process)

    assert (code, out) == (CODES[number], "")
    assert err.startswith(f"eventsift: {WORDS[number]}\nBut what it has done is published, as")
    expected = expect([delivery]).rows
    assert published(table) == expected
    run_here(delivery, table)
    assert published(table) == expected
    assert verify(str(table)).findings == []


@BOTH
def test_worker_processes_end_too(tmp_path: Path, number: signal.Signals) -> None:
    """Also those that are starting; no warning of Python's own helper process comes of it."""
    generate(tmp_path / "in", 60_000, files=2)
    run = (
        "import sys; sys.argv[1:] = ['--input', 'in', '--output', 'out', '--workers', '2']\n"
        "from pipeline import signals; signals.install('eventsift')\n"
        "from pipeline import imports, processes; imports.quieten()\n"
        "from pipeline.command import console\n"
        "processes.start(2)\n"
        "from pipeline.command import job; console.run(job.main)\n"
    )
    for delay in (0.0, 0.3, 0.9):
        process = start("-c", run, cwd=tmp_path)
        while len(members(process.pid)) < 3:
            assert process.poll() is None
        time.sleep(delay)
        os.killpg(process.pid, number)

        code, _, err = ended(process)

        assert (code, err.splitlines()[:1]) == (CODES[number], [f"eventsift: {WORDS[number]}"])
        assert not {"Traceback", "Warning", "ignored"} & set(err.replace(":", " ").split())


@BOTH
def test_a_second_signal_ends_a_command_at_once(
    table: Path, delivery: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Whoever does not want to wait for the clearing up need not; the next run does it."""
    process = held(
        tmp_path,
        "after pipeline.bookkeeping.journal.stage",
        "pipeline",
        "--input",
        delivery,
        "--output",
        table,
    )
    process.send_signal(number)
    time.sleep(0.6)  # what comes sooner is the same request
    process.send_signal(number)

    code, _, err = ended(process)

    assert code in (CODES[number], -number)
    assert "Traceback" not in err
    run_here(delivery, table)
    assert published(table) == expect([delivery]).rows
    assert verify(str(table)).findings == []


@BOTH
@pytest.mark.parametrize("again", [False, True])
def test_watching_ends_after_the_round(
    table: Path, delivery: Path, tmp_path: Path, number: signal.Signals, again: bool
) -> None:
    """Or, at the second signal, at once; then nothing of the round is published."""
    before = published(table)
    arguments = ["--input", delivery, "--output", table, "--watch", "0.05s"]
    process = held(tmp_path, "before pipeline.table.commits.commit", "pipeline", *arguments)
    process.send_signal(number)
    assert process.stdout
    assert any("stopping after this round" in line for line in process.stdout)
    if again:
        time.sleep(0.6)  # what comes sooner is the same request
        process.send_signal(number)
    else:
        (tmp_path / "go on").touch()

    code, out, err = ended(process)

    assert code == CODES[number]
    assert err == (f"eventsift: {WORDS[number]}\n{NOTHING}" if again else "")
    assert out.endswith("" if again else "eventsift: stopped\n")
    assert published(table) == (before if again else expect([delivery]).rows)


@BOTH
@pytest.mark.parametrize(
    ("command", "place", "said"),
    [
        ("pipeline.verify", "before pipeline.verify.rows.check_file", ""),
        ("pipeline.compact", "before pipeline.table.settling.settle", NOTHING),
    ],
)
def test_the_other_commands_end_in_the_same_way(
    table: Path, tmp_path: Path, number: signal.Signals, command: str, place: str, said: str
) -> None:
    """No traceback, and the table is as it was."""
    before = files_of(table)
    process = held(tmp_path, place, command, "--output", table)
    process.send_signal(number)

    code, out, err = ended(process)

    assert (code, out) == (CODES[number], "")
    assert err.startswith(f"eventsift: {WORDS[number]}\n")
    assert err.endswith(said)
    assert files_of(table) == before
    assert list((table / "_eventsift").glob("alive/*")) == []


@BOTH
def test_the_generator_leaves_no_half_file(tmp_path: Path, number: signal.Signals) -> None:
    """Whole files are there, and nothing else, hidden or not."""
    for delay in (0.0, 0.3, 0.7):
        output = tmp_path / f"{delay}"
        process = start(
            "-m", "generator", "--events", "90000000", "--files", "9000", "--output", output
        )
        listening(process)
        while delay and not output.exists():
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(number)

        assert ended(process) == (CODES[number], "", f"generator: {WORDS[number]}\n")
        files = list(output.iterdir()) if output.exists() else []
        assert all(path.name.startswith("events-") for path in files)
        assert all(path.read_bytes().endswith(b"}\n") for path in files)


@BOTH
@pytest.mark.parametrize(
    "command", ["pipeline", "pipeline.verify", "pipeline.compact", "benchmarks"]
)
def test_while_a_command_starts(
    tmp_path: Path, number: signal.Signals, command: str
) -> None:  # fmt: skip
    """Imports take a second; a signal in them ends the command, and no traceback comes of it."""
    arguments = {
        "pipeline": ["--input", tmp_path, "--output", tmp_path / "out"],
        "benchmarks": ["build", "--work", tmp_path / "work"],
    }.get(command, ["--output", tmp_path / "out"])
    for delay in (0.0, 0.1, 0.3):
        process = start("-m", command, *arguments)
        listening(process)
        time.sleep(delay)
        process.send_signal(number)

        code, out, err = ended(process)

        if code != 1:  # it was quick, and has found that there is nothing
            assert (code, out) == (CODES[number], "")
            assert err.splitlines()[0].endswith(f": {WORDS[number]}")
        assert "Traceback" not in err
        assert "Exception ignored" not in err


@BOTH
def test_before_python_has_started(tmp_path: Path, number: signal.Signals) -> None:
    """Through run.sh a signal waits until it can be dealt with; Python would show a traceback."""
    environment = {**os.environ, "EVENTSIFT_VENV": str(Path(sys.executable).parent.parent)}
    for delay in (0.0, 0.01, 0.03, 0.06, 0.1):
        process = subprocess.Popen(
            [ROOT / "run.sh", "generate", "--events", "90000000", "--output", tmp_path / "in"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        python = environment["EVENTSIFT_VENV"].encode()
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(python):
            time.sleep(0.001)
        time.sleep(delay)
        process.send_signal(number)

        assert ended(process) == (CODES[number], "", f"eventsift: {WORDS[number]}\n")


def test_a_shells_loop_stops_on_ctrl_c(tmp_path: Path) -> None:
    """A loop goes on after an exit with 130; it stops only if the command dies of SIGINT."""
    generate(tmp_path / "in", 40)
    loop = (
        f"for n in 1 2 3; do echo round $n; {ROOT}/run.sh run --input '{tmp_path}/in'"
        f" --output '{tmp_path}/out' --watch 0.1s; done; echo went on"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        environment = os.path.dirname(os.path.dirname(sys.executable))
        os.environ["EVENTSIFT_VENV"] = environment
        os.execvp("bash", ["bash", "-c", loop])
    said = b""
    pressed = False
    for chunk in _output(terminal):
        said += chunk
        if b"run 20" in said and not pressed:
            os.write(terminal, b"\x03")
            pressed = True
    _, status = os.waitpid(pid, 0)

    assert b"stopped" in said
    assert b"round 2" not in said
    assert b"went on" not in said
    assert b"Traceback" not in said
    assert os.waitstatus_to_exitcode(status) in (-signal.SIGINT, 130)


def _output(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            return
        if not chunk:
            return
        yield chunk


@pytest.mark.parametrize("command", ["pipeline.verify", "pipeline", "generator"])
def test_a_reader_that_goes_away_is_no_failure(
    made: Path, table: Path, tmp_path: Path, command: str
) -> None:
    """`… | head -1`: silence, and the exit code is that of the work."""
    arguments = {
        "pipeline": ["--input", made / "first.jsonl", "--output", table],
        "pipeline.verify": ["--output", table],
        "generator": ["--events", "10", "--output", tmp_path / "in"],
    }[command]
    for more in ([], ["--help"]):
        reads, writes = os.pipe()
        os.close(reads)
        done = subprocess.run(
            [sys.executable, "-m", command, *map(str, arguments), *more],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writes)
        assert (done.returncode, done.stderr) == (0, "")


def test_nohup_is_heeded(table: Path, delivery: Path, tmp_path: Path) -> None:
    """What `nohup` has started goes on when the terminal is closed."""
    process = held(
        tmp_path,
        "after pipeline.bookkeeping.journal.stage",
        "pipeline",
        "--input",
        delivery,
        "--output",
        table,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go on").touch()

    code, _, err = ended(process)

    assert (code, err) == (0, "")
    assert published(table) == expect([delivery]).rows


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("way", ["closed", "full"])
@pytest.mark.parametrize(
    "command", ["pipeline", "pipeline.verify", "generator", "pipeline.compact"]
)
def test_a_stream_that_takes_nothing_is_no_failure(
    made: Path, table: Path, tmp_path: Path, command: str, stream: str, way: str
) -> None:
    """`>&-` and `> /dev/full`: no traceback, and the exit code is that of the work."""
    arguments = {
        "pipeline": ["--input", made / "first.jsonl", "--output", table],
        "generator": ["--events", "10", "--output", tmp_path / "in"],
    }.get(command, ["--output", table])
    number = {"stdout": 1, "stderr": 2}[stream]
    where = {"closed": f"{number}>&-", "full": f"{number}>/dev/full"}[way]
    done = subprocess.run(
        ["bash", "-c", f'"$@" {where}', "-", sys.executable, "-m", command, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    told = "eventsift: standard output is lost: No space left on device\n"
    expected = told if (stream, way) == ("stdout", "full") else ""
    assert (done.returncode, done.stderr) == (0, expected)


def test_characters_that_a_terminal_lacks_are_written_as_escapes(tmp_path: Path) -> None:
    """A file's name never stops the command that wants to speak of it."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "--input", tmp_path / "é", "--output", tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert r"\xe9" in done.stderr


@pytest.mark.parametrize("command", ["pipeline.verify", "pipeline.compact"])
def test_no_table_is_said_in_one_line(tmp_path: Path, command: str) -> None:
    """Nothing that libraries print stands around the sentence; an unset variable is a mistake."""
    for output, code, said in (
        (str(tmp_path), 1, f"eventsift: {tmp_path}: "),
        (str(tmp_path / "no"), 1, f"eventsift: {tmp_path / 'no'}: "),
        ("", 2, f"python -m {command}: error: argument --output: '' is no path"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", command, "--output", output],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr[: len(said)]) == (code, said)
        assert code == 2 or "; --output names the table's folder\n" in done.stderr


class TestScopes:
    """The parts, without a process that ends."""

    @pytest.fixture
    def ends(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """What was done, in order; the end is not really one."""
        done: list[object] = []
        monkeypatch.setattr(signals, "die", done.append)
        monkeypatch.setattr(os, "write", lambda _, text: done.append(text.decode()))
        monkeypatch.setattr(signals, "_ending_since", 0.0)
        return done

    def test_actions_run_backwards_and_failures_stop_none(self, ends: list[object]) -> None:
        """What was entered last is undone first, whatever happens to it."""

        def fail(_: int) -> None:
            raise OSError

        said: Callable[[str], Callable[[int], object]] = lambda text: lambda _: ends.append(text)  # noqa: E731
        with (
            signals.before_ending(said("outer")),
            signals.before_ending(fail),
            signals.before_ending(said("inner")),
        ):
            signals._end(signal.SIGTERM)

        assert ends == ["eventsift: terminated\n", "inner", "outer", signal.SIGTERM]

    def test_the_last_word_is_for_where_nothing_has_begun(
        self, ends: list[object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Within a scope the scope knows better."""
        monkeypatch.setattr(signals, "_last_word", "Nothing.")
        signals._end(signal.SIGINT)
        with signals.before_ending(lambda _: None):
            signals._end(signal.SIGINT)
        assert ends == [
            "eventsift: interrupted\nNothing.\n",
            signal.SIGINT,
            "eventsift: interrupted\n",
            signal.SIGINT,
        ]

    def test_patience_notes_the_first_signal_and_answers_it(self) -> None:
        """An answer is given while there is something to finish."""
        answers = itertools.count()
        with signals.patience() as asked:
            asked.wait(0.0)
            assert asked.number == 0
            with asked.saying(lambda: next(answers)):
                asked.ask(signal.SIGTERM)
            asked.wait(60.0)
        assert asked.number == signal.SIGTERM
        assert next(answers) == 1
