"""Progress as people see it: on a real terminal, in a pipe, and not at all."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generator.files import deliver
from generator.options import Options
from pipeline.amounts import size
from tests import terminal
from tests.commands import command, environment
from tests.small_runs import line, write

RUN = r"run \d{8}T\d{6}-[0-9a-f]{6}"
# The program, with small blocks. Each takes at least half a second to read, and each shard to
# write: little input is enough for a long run.
SLOW = """
import sys, time
from pipeline.input import blocks
from pipeline.steps import read, write

pack, read_block, write_shard = blocks.pack, read.read_block, write.write_shard
blocks.pack = lambda pieces, first: pack(pieces, first, 3 << 20)
read.read_block = lambda *some: time.sleep(0.5) or read_block(*some)
write.write_shard = lambda *some: time.sleep(0.5) or write_shard(*some)
from pipeline import cli
cli.main()
"""


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60,000 events in 12 files."""
    folder = tmp_path_factory.mktemp("delivery") / "in"
    deliver(Options(events=60_000, output=folder, files=12, types=4, days=3))
    return folder


def amount(folder: Path) -> str:
    """How much is in a folder, as people are told."""
    return re.escape(size(sum(path.stat().st_size for path in folder.iterdir())))


def startup_seconds() -> float:
    """How long Python takes to start here and now; tests may have to share a busy machine."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import argparse"], check=True)
    return time.monotonic() - began


def live(session: terminal.Session) -> list[str]:
    """What stood on the live line, in order."""
    return [found[1] for found in re.finditer(r"\r([^\r\n\x1b]+)\x1b\[K", session.text)]


@pytest.mark.parametrize("columns", [60, 200])
def test_a_run_on_a_terminal(delivery: Path, tmp_path: Path, columns: int) -> None:
    """At once what it is; then one line that shows what has happened, and never wraps."""
    startup = startup_seconds()
    arguments = ["run", "--input", delivery, "--output", tmp_path / "table", "--workers", "1"]

    session = terminal.run(["-c", SLOW, *arguments], columns)

    assert session.status == 0
    # The run's id comes before the imports that take a second; then what there is to do.
    assert session.shown[0].at < 1.0 + 5 * startup
    assert re.match(rf"\r{RUN}: starting\x1b\[K", session.text)
    (about,) = re.findall(rf"({RUN}: 12 files, {amount(delivery)} to read)\r\n", session.text)
    found = live(session)
    first_read = next(text for text in found if text.startswith("read"))
    assert session.text.index(about) < session.text.index(first_read)

    # One line: it never wraps or scrolls, and its numbers only grow.
    assert max(map(len, found)) < columns
    for state in session.states(columns):
        assert len(state) <= 2 or state[0] == about
        assert state[0] in ("", about) or re.match(RUN, state[0]) or len(state) == 1
    done = [float(text.split()[1]) for text in found if text.startswith("read")]
    assert done == sorted(done)
    assert len(set(done)) >= 4  # of six blocks
    steps = list(dict.fromkeys(text.split()[0] for text in found if not text.startswith("run")))
    assert next(step for step in steps if step != "planning") == "read"
    assert "write" in steps
    assert any("MB/s" in text for text in found)
    assert any("left" in text for text in found)
    assert (columns < 80) != any("events  " in text for text in found if text.startswith("read"))

    # No flicker: each renewal overwrites the line before it, and there are few of them.
    assert len(found) <= 5 * (session.shown[-1].at + 1)
    assert session.text.count("\r\x1b[K") <= 3

    # Of the live line, nothing stays.
    screen = session.states(columns)[-1]
    assert screen[0] == about
    assert re.fullmatch(RUN, screen[1])
    assert "Published as version 1." in screen


def test_ctrl_c_on_a_terminal(delivery: Path, tmp_path: Path) -> None:
    """What is said then begins on a line of its own."""
    asked: list[int] = []

    def stop(text: str, pid: int) -> None:
        if re.search(r"\rread  [1-9]", text) and not asked:
            asked.append(pid)
            terminal.interrupt(pid)

    arguments = ["run", "--input", delivery, "--output", tmp_path / "table", "--workers", "1"]
    session = terminal.run(["-c", SLOW, *arguments], on_text=stop)

    assert session.status == -2
    screen = session.states(80)[-1]
    assert screen[1:3] == [
        "eventsift: interrupted",
        "Nothing was published; the table is as it was.",
    ]
    assert list((tmp_path / "table").glob("domain=*")) == []


def test_a_failure_on_a_terminal(tmp_path: Path) -> None:
    """The message begins on a line of its own, also that of the options."""
    for arguments, status, words in [
        (["--input", tmp_path / "nowhere", "--output", tmp_path / "out"], 1, "no file matches"),
        (["--input", "x", "--ouput", "y"], 2, "unknown option --ouput"),
    ]:
        session = terminal.run(["-m", "pipeline.cli", "run", *arguments], 400)
        assert session.status == status
        first = session.states(400)[-1][0]
        assert first.startswith("eventsift")
        assert words in first


TELLING_OFTEN = (
    """
import sys
from pipeline import notices

notices._LINE_SECONDS = 0.3
"""
    + SLOW
)


def test_a_pipe_gets_lines(delivery: Path, tmp_path: Path) -> None:
    """Whole lines on stderr now and then, without control characters; nothing on stdout."""
    variables = environment()
    del variables["EVENTSIFT_QUIET"]
    arguments = ["run", "--input", delivery, "--output", tmp_path / "table", "--workers", "1"]

    done = subprocess.run(
        [sys.executable, "-c", TELLING_OFTEN, *map(str, arguments)],
        env=variables,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0
    assert re.match(rf"{RUN}\n\n  events", done.stdout)
    lines = done.stderr.splitlines()
    assert done.stderr.endswith("\n")
    assert all(one.isprintable() for one in lines)
    assert all(one.startswith("eventsift: ") for one in lines)
    reading = [one for one in lines if ": read, " in one]
    assert reading
    total = amount(delivery)
    pattern = rf"eventsift: {RUN}: 12 files, {total} to read: read, [\d.]+ of {total}, .*"
    assert all(re.fullmatch(pattern, one) for one in reading)


@pytest.mark.parametrize("how", ["--quiet", "EVENTSIFT_QUIET", "TERM"])
def test_whoever_wants_no_live_line_gets_none(tmp_path: Path, how: str) -> None:
    """By an option, for all commands, or because the terminal cannot have one."""
    source = write(tmp_path / "in.jsonl", line("a"))
    arguments = ["run", "--input", source, "--output", tmp_path / "table"]
    variables = {} if how == "--quiet" else {how: "dumb"}
    arguments += [how] if how == "--quiet" else []

    session = terminal.run(["-m", "pipeline.cli", *arguments], **variables)

    assert session.status == 0
    assert "\x1b" not in session.text
    assert re.match(rf"{RUN}\r\n\r\n  events", session.text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of some small files."""
    folder = tmp_path_factory.mktemp("made")
    deliver(Options(events=20_000, output=folder / "in", types=1, days=2))
    options = ["--input", folder / "in", "--output", folder / "table", "--target-file-mb", "1"]
    done = command(*options)
    assert done.status == 0, done.err
    return folder / "table"


def test_other_commands_on_a_terminal(made: Path, tmp_path: Path) -> None:
    """What they are about to do stands there at once, and goes before they say what they did."""
    table = shutil.copytree(made, tmp_path / "table")
    slow = (
        "import time; from pipeline import notices; notices._FIRST_SECONDS = 0.01;"
        "from pipeline.verify import check; whole = check.check_file;"
        "check.check_file = lambda *some, **named: time.sleep(0.2) or whole(*some, **named);"
        "from pipeline.rows import parquet; merge = parquet.merge_files;"
        "parquet.merge_files = lambda *some: time.sleep(0.2) or merge(*some);"
        "from generator import files; chunks = files.chunks;"
        "files.chunks = lambda *some: time.sleep(0.2) or chunks(*some);"
        "from pipeline import cli; cli.main()"
    )
    for arguments, first, about, last in [
        (
            ["generate", "--events", "50000", "--files", "3", "--output", tmp_path / "in"],
            r"\r50,000 events in 3 files\x1b",
            r"generate  [\d,]+ of 50,000 events  \d+ %",
            r"50,000 events in 3 files, ",
        ),
        (
            ["verify", "--output", table],
            r"\rverify\x1b",
            r"verify  [\d.]+( kB)? of [\d.]+ kB  \d+ %",
            r"Everything is right\.",
        ),
        (
            ["compact", "--output", table, "--target-file-mb", "1024"],
            r"\rmerge\x1b",
            r"merge  [\d.]+( kB)? of [\d.]+ kB  \d+ %",
            r"\d+ files became \d+: ",
        ),
    ]:
        session = terminal.run(["-c", slow, *arguments], 80)
        assert session.status == 0, session.text
        assert re.match(first, session.text)
        assert any(re.match(about, text) for text in live(session)), session.text
        assert re.search(last, "\n".join(session.states(200)[-1]))
        quiet = terminal.run(["-c", slow, *arguments, "--quiet"], 80)
        assert "\x1b" not in quiet.text


def modules(*options: str | Path) -> set[str]:
    """What a run of one event imports, in a pipe."""
    variables = environment()
    del variables["EVENTSIFT_QUIET"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline.cli", "run", *map(str, options)],
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    return {one.rpartition("|")[2].strip() for one in done.stderr.splitlines() if "|" in one}


def test_a_run_that_is_soon_over_imports_nothing_more(tmp_path: Path) -> None:
    """What makes the words is imported when somebody looks."""
    source = write(tmp_path / "in.jsonl", line("a"))
    told = modules("--input", source, "--output", tmp_path / "1")
    quiet = modules("--input", source, "--output", tmp_path / "2", "--quiet")

    assert "apache_beam" in told
    assert told - quiet == set()
    assert not {name for name in told if "progress" in name and name.startswith("pipeline")}
