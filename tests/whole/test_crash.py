"""The process is killed at every kind of point of a merge; readers and the next run find no harm.

A run in a process of its own counts what it is about to do to the file system (Python's audit
events) and kills itself before the n-th of these; no code of the pipeline knows of it. Kills within
the Delta commit, which is compiled code, go by time.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from deltalake import DeltaTable

from pipeline.steps import latest
from pipeline.table import commits
from pipeline.verify.check import verify
from tests import commands, deliveries, tables
from tests.commands import TIMEOUT_SECONDS
from tests.deliveries import Event
from tests.forks import UNKNOWN, in_fork

# Three days; of the news some stay, some move to another day or type, one is new, one known.
OLD = [Event(f"e{number}", number * 400, number) for number in range(10)]
NEWS = [
    *(Event(f"e{number}", number * 400 + 7, number, "closed") for number in (0, 4)),
    *(Event(f"e{number}", number * 400 + 1440, -number) for number in (1, 2)),
    Event("n", 900, 1),
    OLD[3],
]
BEFORE, AFTER = deliveries.latest(OLD), deliveries.latest([*OLD, *NEWS])

# What must be among the points: one or more of each phase of a run.
PHASES = {
    "open None /table/_eventsift/ledger.arrow.zst",  # planning
    "open r /in/news.jsonl",  # reading
    "os.rename /table/_eventsift/temp/RUN/.*.arrow.*.tmp",  # staging
    *("before latest", "after latest"),  # combining
    "open x /table/_eventsift/new/RUN/part-RUN-*",  # writing
    "os.rename /table/_eventsift/temp/RUN/.journal.json.*.tmp",
    *("before commit", "before log", "after log", "after commit"),
    "os.link /table/_eventsift/new/RUN/part-RUN-*",  # settling
    "os.remove /table/PARTITION",  # removing old files
    "os.rename /table/_eventsift/rejects/.RUN.jsonl.*.tmp",  # recording
    "os.rename /table/_eventsift/catalogue/.RUN.json.*.tmp",
    "os.rename /table/_eventsift/.ledger.arrow.zst.*.tmp",
    "os.rename /table/_eventsift/runs/.RUN.json.*.tmp",
    "os.remove /table/_eventsift/alive/RUN",
}

_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"}
_RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")
_HEX = re.compile(r"[0-9a-f]{16,}")
_PARTITION = re.compile(r"domain=[^ ]*")


class Point(NamedTuple):
    """Where a run is killed: before its `number`-th step, which is `label`."""

    number: int
    label: str


class Steps:
    """Counts and notes the steps of this process, and kills it before one of them."""

    def __init__(self, base: Path, inputs: Path, notes: Path | None, kill_at: int | None) -> None:
        self._base, self._parent = str(base), str(inputs.parent)
        self._notes = notes and open(notes, "w", buffering=1)  # noqa: SIM115 (until it ends)
        self._kill_at = kill_at
        self._count = 0

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook."""
        if event == "fcntl.flock":
            self.step("lock")
        elif event in _EVENTS:
            path = str(arguments[0]).removeprefix(self._base)
            path = path.removeprefix(self._parent)
            ours = path.startswith(("/table", "/in/"))
            if ours or (event == "os.remove" and arguments[1] >= 0):
                mode = f" {arguments[1]}" if event == "open" else ""
                self.step(f"{event}{mode} {path}")

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, with a step before it and one after it."""

        def stepped(*arguments: Any, **options: Any) -> Any:
            self.step(f"before {name}")
            result = function(*arguments, **options)
            self.step(f"after {name}")
            return result

        return stepped

    def step(self, label: str) -> None:
        """One step."""
        if self._count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1
        if self._notes:
            label = _HEX.sub("*", _RUN_ID.sub("RUN", label))
            self._notes.write(_PARTITION.sub("PARTITION", label) + "\n")


def merge(base: Path, inputs: Path, notes: Path | None, kill_at: int | None, *options: str) -> None:
    """The process that is killed."""
    steps = Steps(base, inputs, notes, kill_at)
    sys.stdout = sys.stderr = open(base / "output.txt", "w")  # noqa: SIM115 (until it ends)
    sys.addaudithook(steps.hook)
    with (
        mock.patch.object(latest, "latest", steps.around("latest", latest.latest)),
        mock.patch.object(commits, "commit", steps.around("commit", commits.commit)),
        mock.patch.object(commits, "_write", steps.around("log", commits._write)),
    ):
        # One core of its own: then versions are stored, too, and still one thread does it all.
        code = commands.run(base / "table", inputs, "--workers", "1", *options)
    sys.stdout.flush()
    os._exit(code)


def killed_after(base: Path, inputs: Path, seconds: float) -> None:
    """The process that is killed some time after it has begun to write the log."""
    write = commits._write

    def slowly_killed(*arguments: Any) -> None:
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        write(*arguments)

    sys.stdout = sys.stderr = open(base / "output.txt", "w")  # noqa: SIM115 (until it ends)
    with mock.patch.object(commits, "_write", slowly_killed):
        commands.run(base / "table", inputs)
    time.sleep(TIMEOUT_SECONDS)  # it has ended before; being killed now is as good


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a delivery that is to be merged into it."""
    base = tmp_path_factory.mktemp("prepared")
    deliveries.deliver(base / "in" / "old.jsonl", OLD)
    assert in_fork(merge, base, base / "in", None, None) == 0
    deliveries.deliver(base / "in" / "news.jsonl", NEWS, "{broken")
    return base


def copy_of(prepared: Path, name: str) -> Path:
    """A copy to break. The files keep their times, which the ledger goes by."""
    base = prepared.parent / f"{prepared.name}-{name}"
    shutil.copytree(prepared, base)
    return base


def points(notes: Path) -> list[Point]:
    """Where to kill: before the first and the last of all steps that are alike."""
    steps = [Point(*point) for point in enumerate(notes.read_text().splitlines())]
    first = {step.label: step for step in reversed(steps)}
    last = {step.label: step for step in steps}
    return sorted({*first.values(), *last.values()})


def check_readers(root: Path) -> None:
    """Delta readers see the old table or the new one.

    So do plain readers, except while files are being settled, after the commit: then they see all
    rows of one of the two, and some of the other's.
    """
    delta, plain = tables.delta_rows(root), tables.plain_rows(root)
    assert delta in (BEFORE, AFTER)
    if delta == BEFORE:
        assert plain == BEFORE
    else:
        assert plain >= BEFORE or plain >= AFTER
        assert plain <= BEFORE | AFTER or plain <= BEFORE + AFTER
        ids = {row.event_id for row in plain}
        assert ids >= {row.event_id for row in BEFORE}


def let_days_pass(root: Path) -> None:
    """Eight days later: all files are that old, and the log has forgotten who made its commits."""
    then = time.time() - 8 * 86_400
    for path in root.rglob("*"):
        os.utime(path, (then, then))
    log = DeltaTable(str(root))
    name = "delta.setTransactionRetentionDuration"
    log.alter.set_table_properties({name: "interval 1 milliseconds"})
    log.create_checkpoint()
    log.cleanup_metadata()
    runs = [path.name for path in (root / "_eventsift" / "alive").iterdir()]
    assert all(log.transaction_version(f"eventsift/{run}") is None for run in runs)


def heal_later(base: Path, inputs: Path, *options: str) -> None:
    """As `heal`, eight days later."""
    let_days_pass(base / "table")
    heal(base, inputs, *options)


def heal(base: Path, inputs: Path, *options: str) -> None:
    """The next run makes the table what it has to be, and leaves nothing behind."""
    sys.stdout = sys.stderr = open(base / "output.txt", "w")  # noqa: SIM115 (until it ends)
    root = base / "table"
    assert commands.run(root, inputs, *options) == 0
    if options:  # what history there is goes with the first run that does not want any
        assert tables.delta_rows(root) == tables.plain_rows(root) == AFTER
        assert commands.run(root, inputs) == 0
    assert tables.delta_rows(root) == AFTER
    assert tables.plain_rows(root) == AFTER
    assert tables.strays(root) == []
    assert verify(str(root)).findings == []
    assert tables.recorded(root) == ["news.jsonl", "old.jsonl"]
    # What was published is recorded, whoever did it, and so is what could not be read.
    published = {commit["run"] for commit in DeltaTable(str(root)).history() if "run" in commit}
    assert published <= {path.stem for path in (root / "_eventsift" / "runs").iterdir()}
    letters = [path.read_text() for path in (root / "_eventsift" / "rejects").iterdir()]
    assert [json.loads(letter)["raw"].strip() for letter in letters] == ["{broken"]


def kill_and_check(
    prepared: Path,
    name: str,
    target: Callable[..., None],
    *how: Any,
    healing: Callable[..., None] = heal,
    options: Sequence[str] = (),
) -> str:
    """Kills a merge; what is wrong then, or nothing. Once more where an exit code is unknown."""
    for attempt in range(3):
        base = copy_of(prepared, f"{name}-{attempt}")
        code = in_fork(target, base, prepared / "in", *how, *options)
        if code == UNKNOWN:
            continue
        if code != -signal.SIGKILL:
            return f"{name}: not killed but ended with {code}"
        try:
            check_readers(base / "table")
        except AssertionError as error:
            return f"{name}: {error}"
        code = in_fork(healing, base, prepared / "in", *options)
        if code == UNKNOWN:
            continue
        if code:
            return f"{name}: {code}: {(base / 'output.txt').read_text()}"
        shutil.rmtree(base)
        return ""
    return f"{name}: no exit code was known"


@pytest.mark.slow
def test_killed_anywhere_nothing_is_lost(prepared: Path) -> None:
    """Crash safety: old or new table for every reader, healed by the next run, no leftovers."""
    notes = prepared / "notes.txt"
    rehearsal = copy_of(prepared, "rehearsal")
    assert in_fork(merge, rehearsal, prepared / "in", notes, None) == 0
    chosen = points(notes)

    def killed(point: Point) -> str:
        wrong = kill_and_check(prepared, f"at-{point.number}", merge, None, point.number)
        return wrong and f"{point.label}: {wrong}"

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [text for text in pool.map(killed, chosen) if text]

    assert len(chosen) >= 60
    assert {point.label for point in chosen} >= PHASES
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "healing"),
    [
        pytest.param((), heal_later, id="days-later"),
        pytest.param(("--keep-history", "7d"), heal, id="with-history"),
        pytest.param(("--keep-history", "7d"), heal_later, id="with-history-days-later"),
    ],
)
def test_killed_after_the_commit(
    prepared: Path, options: tuple[str, ...], healing: Callable[..., None]
) -> None:
    """What is published stays, also if the log has forgotten by then who published it.

    Seen to fail for the last: "not in the log" was taken for "not committed", and the live files,
    which with history lie in the hidden folder, were removed with what the dead run had left.
    """
    notes = prepared / f"notes-{len(options)}.txt"
    name = f"{healing.__name__}-{len(options)}"
    rehearsal = copy_of(prepared, f"rehearsal-{name}")
    assert in_fork(merge, rehearsal, prepared / "in", notes, None, *options) == 0
    steps = points(notes)
    committed = next(step.number for step in steps if step.label == "after log")
    chosen = [step for step in steps if step.number > committed]

    def killed(point: Point) -> str:
        wrong = kill_and_check(
            prepared,
            f"{name}-{point.number}",
            merge,
            None,
            point.number,
            healing=healing,
            options=options,
        )
        return wrong and f"{point.label}: {wrong}"

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [text for text in pool.map(killed, chosen) if text]

    assert len(chosen) >= 20
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_killed_within_the_commit(prepared: Path) -> None:
    """The commit is all or nothing, whenever it is cut short."""
    # Writing the log takes a few milliseconds.
    delays = [milliseconds / 2000 for milliseconds in range(12)]

    def killed(delay: float) -> str:
        return kill_and_check(prepared, f"after-{delay}", killed_after, delay)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [text for text in pool.map(killed, delays) if text]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("free_pages", [0, 1, 2, 4, 6, 8, 9, 10, 11, 12, 14, 18])
def test_a_full_disk(
    prepared: Path, small_disk: Path, capfd: pytest.CaptureFixture[str], free_pages: int
) -> None:
    """A clear error and an untouched table; with room again, the next run does it all."""
    root = small_disk / "table"
    shutil.copytree(prepared / "table", root)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    os.truncate(filler, filler.stat().st_size - 4096 * free_pages)

    code = commands.run(root, prepared / "in")
    errors = capfd.readouterr().err

    if code:
        assert "No space left on device" in errors
        assert "Traceback" not in errors
    published = not code or "But what it has done is published" in errors
    assert published or "Nothing was published; the table is as it was." in errors
    check_readers(root)
    assert tables.delta_rows(root) == (AFTER if published else BEFORE)
    filler.unlink()
    assert commands.run(root, prepared / "in") == 0
    assert tables.delta_rows(root) == tables.plain_rows(root) == AFTER
    assert tables.strays(root) == []


def test_a_read_only_output(
    prepared: Path, small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A clear error, and an untouched table."""
    root = small_disk / "table"
    shutil.copytree(prepared / "table", root)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    assert commands.run(root, prepared / "in") == 1

    errors = capfd.readouterr().err.splitlines()
    assert "Read-only file system" in errors[-2] and str(root) in errors[-2]
    assert errors[-1] == "Nothing was published; the table is as it was."
    assert tables.delta_rows(root) == tables.plain_rows(root) == BEFORE
