"""The commands, run as people run them or in this process."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.command import console, job
from tests.tables import newest_summary

ROOT = Path(__file__).resolve().parent.parent

# A command takes seconds. This only ends one that would never end, also on a busy machine.
TIMEOUT_SECONDS = 600


class Finished(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process that runs this checkout's code."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **changes}


def python(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Finished:
    """Runs Python to its end; whatever happens, nobody gets to see a traceback."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Finished(done.returncode, done.stdout, done.stderr)


def command(*arguments: str | Path, module: str = "pipeline", cwd: Path | None = None) -> Finished:
    """Runs ``python -m pipeline`` to its end."""
    return python("-m", module, *arguments, cwd=cwd)


def script(text: str, *arguments: str | Path) -> Finished:
    """Runs a Python program, for a job to which something happens."""
    return python("-c", text, *arguments)


def in_process(*arguments: str | Path, main: Callable[[Sequence[str]], int] = job.main) -> Finished:
    """As `command`, without the two seconds that a process of its own takes to start."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as end:  # argparse's
            status = int(end.code or 0)
    assert "Traceback" not in out.getvalue() + err.getvalue(), err.getvalue()
    return Finished(status, out.getvalue(), err.getvalue())


def run_job(inputs: Path | Iterable[Path], root: Path, *options: str) -> dict[str, Any]:
    """Runs the job, which must succeed in silence; gives the run's summary."""
    done = command(*_arguments(inputs, root, *options))
    assert (done.status, done.err) == (0, "")
    return newest_summary(root)


def run_here(inputs: Path | Iterable[Path], root: Path, *options: str) -> dict[str, Any]:
    """As `run_job`, in this process: for many runs, since a new one takes two seconds to start."""
    assert job.main(_arguments(inputs, root, *options)) == console.DONE
    return newest_summary(root)


def run(root: Path, inputs: Path, *options: str) -> int:
    """The job in this process, with all its work in one thread; its exit code."""
    return job.main(_arguments(inputs, root, "--workers", "0", *options))


def _arguments(inputs: Path | Iterable[Path], root: Path, *options: str) -> list[str]:
    paths = [inputs] if isinstance(inputs, Path) else inputs
    return ["--input", *map(str, paths), "--output", str(root), *options]
