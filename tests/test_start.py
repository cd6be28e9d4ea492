import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import processes, start
from pipeline.verify.check import verify
from tests.deliveries import Event, deliver
from tests.tables import newest_summary

ROOT = Path(__file__).parent.parent


def python(program: str, *arguments: str | Path, **environment: str) -> str:
    """What a program prints that runs in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_beam_starts_without_what_is_not_used() -> None:
    """The job's imports leave out packages that only others use, though they are installed.

    Seen to fail with `sys.modules["pandas"] = None`: pyarrow takes that for pandas.
    """
    found = python(
        "import importlib.util, logging, sys\n"
        "from pipeline import imports\n"
        "logging.disable()\n"
        "assert importlib.util.find_spec('pandas')\n"
        "imports.leave_out_unused()\n"
        "import pipeline.command.job, pyarrow\n"
        "print(pyarrow.array(['a']).to_pylist(), {*imports._UNUSED} & set(sys.modules))"
    )
    assert found == "['a'] set()"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_numpy_starts_no_threads() -> None:
    """One for each core, in each process, would do nothing but wait, and take time for it.

    Seen to fail without the variable: there were 2 on 2 cores.
    """
    found = python(
        "import os\n"
        "os.environ.pop('OPENBLAS_NUM_THREADS', None)\n"
        "from pipeline import imports\n"
        "imports.leave_out_unused()\n"
        "import numpy\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    assert found == "1"


def test_options_are_known_before_beam_is_imported() -> None:
    """Else processes could not start while it is."""
    found = python(
        "import sys\n"
        "from pipeline import start\n"
        "start.start_workers_early(['--input', 'nothing', '--output', 'out'])\n"
        "print('apache_beam' in sys.modules)"
    )
    assert found == "False"


def test_options_are_known_before_all_that_takes_time() -> None:
    """Workers start as soon as the options are known; they must not wait for other imports."""
    found = python(
        "import sys\n"
        "from pipeline.command import options\n"
        "options.parser()\n"
        "print({'numpy', 'pyarrow', 'deltalake', 'msgspec'} & set(sys.modules))"
    )
    assert found == "set()"


def test_a_plain_start_gives_the_same(tmp_path: Path) -> None:
    """Whoever suspects the tricks can switch them off: all of them, and nothing else changes."""
    program = (
        "import gc, os, sys\n"
        "frozen = gc.get_freeze_count()  # Python 3.12 freezes some objects when it starts\n"
        "os.environ.pop('OPENBLAS_NUM_THREADS', None)\n"
        "from pipeline import imports, processes, signals, start\n"
        "from pipeline.command import console\n"
        "start._WORK_FILES = 1\n"
        "begun = []\n"
        "processes.start = begun.append\n"
        "asked = []\n"
        "imports.quieten()\n"
        "imports.leave_out_unused()\n"
        "from apache_beam.transforms import userstate\n"
        "inspect = userstate.get_dofn_specs\n"
        "userstate.get_dofn_specs = lambda function: asked.append(function) or inspect(function)\n"
        "start.run_job(sys.argv[1:])\n"
        "again = len(asked) > len({*map(id, asked)})\n"
        "left_out = any(isinstance(one, imports._NotThere) for one in sys.meta_path)\n"
        "one_thread = 'OPENBLAS_NUM_THREADS' in os.environ\n"
        "ends = []\n"
        "signals.leave = lambda code, at_once: ends.append(at_once)\n"
        "console.run(lambda arguments: 0)\n"
        "frozen = gc.get_freeze_count() > frozen\n"
        "print('tricks:', left_out, one_thread, frozen, begun, again, *ends)"
    )
    events = [Event(f"e{n}") for n in range(9)]
    source = deliver(tmp_path / "a.jsonl", events)
    outcomes = []
    for table, switch, tricks in (
        ("a", "", "True True True [2] False True"),
        ("b", "1", "False False False [] True False"),
    ):
        arguments = ("--input", source, "--output", tmp_path / table, "--workers", "2")
        said = python(program, *arguments, EVENTSIFT_PLAIN_START=switch)
        assert said.splitlines()[-1] == f"tricks: {tricks}"
        outcomes.append((verify(str(tmp_path / table)), newest_summary(tmp_path / table)["counts"]))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0].rows == len(events)


class TestEarly:
    """Processes start early where the job will need them."""

    @pytest.fixture(autouse=True)
    def started(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
        """How many processes were started, call by call; and some large input."""
        found: list[int] = []
        monkeypatch.setattr(processes, "start", found.append)
        monkeypatch.setattr(processes, "WORK_BYTES", 1000)
        (tmp_path / "large.jsonl").write_bytes(b"x" * 600)
        (tmp_path / "larger.jsonl").write_bytes(b"x" * 600)
        return found

    def early(self, folder: Path, *options: str) -> None:
        """As the command does it."""
        start.start_workers_early(
            ["--input", f"{folder}/large*.jsonl", "--output", "out", *options]
        )

    def test_for_large_input(self, started: list[int], tmp_path: Path) -> None:
        """As many as the job will use."""
        self.early(tmp_path, "--workers", "3")
        assert started == [3]

    def test_not_for_small_input(self, started: list[int], tmp_path: Path) -> None:
        """It is read before a process has started."""
        (tmp_path / "larger.jsonl").unlink()
        self.early(tmp_path, "--workers", "3")
        assert started == []

    def test_for_many_files(
        self, started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However small they are, and without listing more of them."""
        monkeypatch.setattr(processes, "WORK_BYTES", 10**9)
        monkeypatch.setattr(start, "_WORK_FILES", 2)
        self.early(tmp_path, "--workers", "3")
        assert started == [3]

    @pytest.mark.parametrize(
        "options",
        [
            ["--workers=0"],
            ["--workers=1"],
            ["--runner=PrismRunner"],
            ["--runner", "PortableRunner"],
            ["--direct_running_mode=multi_processing"],
        ],
        ids=" ".join,
    )
    def test_not_where_others_read(
        self, options: list[str], started: list[int], tmp_path: Path
    ) -> None:
        """One worker is this process, and a runner may have workers of its own."""
        self.early(tmp_path, *options)
        assert started == []

    def test_not_for_input_elsewhere(self, started: list[int]) -> None:
        """Looking into a store would need Beam first; the processes start later then."""
        start.start_workers_early(
            ["--input", "s3://bucket/*", "gs://bucket/*", "--output", "s3://bucket/out"]
        )
        assert started == []
