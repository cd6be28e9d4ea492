"""run.sh and what it promises, without a network: interpreters are stubs that log their calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What run.sh itself may call, so that a test's PATH holds no Python but the stubs.
TOOLS = ("bash", "cat", "cksum", "dirname", "mkdir", "rm", "sed", "tail")

# A python that says it is {version}, "makes" an environment by copying itself, and logs the rest.
STUB = """\
#!/bin/bash
case "$*" in
  "-c import sys; print"*) echo {version}; exit ;;
  "-VV") echo "Python {version} ({build})"; exit ;;
  "-c import ensurepip, venv") exit {venv_missing} ;;
  "-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
esac
printf '%s|%s|%s\\n' "$PWD" "$*" "$PYTHONPATH" >> "{log}"
case "$*" in "-m pip "*) echo "ERROR: no such host" ; exit {pip_status} ;; esac
"""


class Checkout(NamedTuple):
    """A copy of the scaffolding in which nothing is real but run.sh."""

    root: Path
    """The project folder."""
    bin: Path
    """The only folder on PATH; has what run.sh calls, and no Python until `python` adds one."""
    log: Path
    """What the stub interpreters were called with: folder|arguments|PYTHONPATH."""

    def python(
        self,
        name: str,
        version: str,
        *,
        build: str = "x",
        venv_missing: int = 0,
        pip_status: int = 0,
    ) -> None:
        """Puts a stub interpreter on PATH."""
        text = STUB.format(
            version=version,
            build=build,
            venv_missing=venv_missing,
            pip_status=pip_status,
            log=self.log,
        )
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, *arguments: str, cwd: Path | None = None, **env: str) -> Result:
        """Runs the copy's run.sh with nothing in the environment but PATH, HOME and `env`."""
        done = subprocess.run(
            [str(self.root / "run.sh"), *arguments],
            cwd=cwd or self.root,
            env={"PATH": str(self.bin), "HOME": str(self.root), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def calls(self) -> list[str]:
        """The arguments of the stubs' calls so far, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split("|")[1] for line in lines]

    def pip_calls(self) -> list[str]:
        """The calls that would have installed something."""
        return [call for call in self.calls() if call.startswith("-m pip ")]


class Result(NamedTuple):
    """How run.sh ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout in a folder with a space in its name."""
    made = Checkout(tmp_path / "the project", tmp_path / "bin", tmp_path / "log")
    made.root.mkdir()
    made.bin.mkdir()
    for name in ("run.sh", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, made.root)
    for tool in (*TOOLS, "cp"):
        (made.bin / tool).symlink_to(shutil.which(tool) or tool)
    (made.bin / "env").symlink_to("/usr/bin/env")
    return made


def test_help_prints_the_usage(checkout: Checkout) -> None:
    """Asking for help is no error, and needs no Python."""
    result = checkout.run("help")
    assert (result.status, result.out) == (0, "")
    assert result.err.startswith("Usage: ./run.sh")


def test_usage_names_every_command(checkout: Checkout) -> None:
    """A command that exists but is not in the usage text would never be found."""
    script = (ROOT / "run.sh").read_text().split('case "$command" in')[1]
    cases = re.findall(r"^  ([a-z| -]+)\)", script, re.MULTILINE)
    names = {name for case in cases for name in case.split(" | ")} - {"demo", "-h", "--help"}
    assert names >= {"run", "generate", "test", "bench"}
    usage = checkout.run("help").err
    assert [name for name in names if f"\n  {name} " not in usage] == []


def test_unknown_command_is_refused_with_the_usage(checkout: Checkout) -> None:
    """A typing error must not start anything, and scripts must notice it (status 2)."""
    checkout.python("python3", "3.11")
    result = checkout.run("rnu")
    assert result.status == 2
    assert "unknown command: rnu" in result.err
    assert "Usage: ./run.sh" in result.err
    assert checkout.calls() == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(
            ("teh", "test"),
            ("rnu", "run"),
            ("test-enignes", "test-engines"),
            ("genrate", "generate"),
        ),
        *(("lnit", "lint"), ("verfiy", "verify"), ("tset-pythons", "test"), ("--hlep", None)),
    ],
)
def test_unknown_command_names_the_nearest_one(
    checkout: Checkout, typed: str, meant: str | None
) -> None:
    """In the last line, below the usage, where people look."""
    last = checkout.run(typed).err.splitlines()[-1]
    question = f"; did you mean ./run.sh {meant}?" if meant else ""
    assert last == f"run.sh: unknown command: {typed}{question}"


def test_every_command_can_be_the_nearest_one() -> None:
    """A command that is added to the usage is added to the list of `nearest`, too."""
    script = (ROOT / "run.sh").read_text()
    (listed,) = re.findall(r"for name in (.*); do", script)
    usage = script[script.index("Usage:") : script.index("\nEnvironment:")]
    names = re.findall(r"^  ([a-z-]+) ", usage, re.MULTILINE)
    assert listed.split() == [name for name in names if name != "--version"]


def test_too_old_python_is_named(checkout: Checkout) -> None:
    """The user learns which Python was found and which is needed."""
    checkout.python("python3", "3.9")
    checkout.python("python", "2.7")
    result = checkout.run("run")
    assert result.status == 1
    assert result.err == (
        "run.sh: Python 3.10 or newer is needed; found python3 (3.9), python (2.7).\n"
    )


def test_no_python_at_all(checkout: Checkout) -> None:
    """A machine without Python gets the same sentence, not "command not found"."""
    result = checkout.run("run")
    assert result.status == 1
    assert result.err == "run.sh: Python 3.10 or newer is needed; found none.\n"


def test_python_variable_overrides_the_search(checkout: Checkout) -> None:
    """PYTHON names the interpreter; if that one is too old, no other is taken in silence."""
    checkout.python("python3.12", "3.12")
    checkout.python("old", "3.9")
    result = checkout.run("run", PYTHON="old")
    assert result.status == 1
    assert "found old (3.9) for PYTHON=old." in result.err


def test_newest_python_that_runs_is_taken(checkout: Checkout) -> None:
    """Also past a version manager's shim, which is there and does not run."""
    (checkout.bin / "python3.13").write_text("#!/bin/bash\necho no such version >&2\nexit 127\n")
    (checkout.bin / "python3.13").chmod(0o755)
    checkout.python("python3.12", "3.12")
    checkout.python("python3", "3.11")
    result = checkout.run("run")
    assert result.status == 0, result.err
    assert "for Python 3.12 into .venv" in result.err


def test_missing_venv_module_names_the_package(checkout: Checkout) -> None:
    """Debian's python3 comes without venv: say what to install instead of a traceback."""
    checkout.python("python3", "3.11", venv_missing=1)
    result = checkout.run("run")
    assert result.status == 1
    assert "install python3.11-venv" in result.err
    assert len(result.err.splitlines()) == 1
    assert not (checkout.root / ".venv").exists()


def test_folder_that_cannot_be_made(checkout: Checkout) -> None:
    """An unwritable place (here: a file in the way) is one sentence with the system's reason."""
    checkout.python("python3", "3.11")
    (checkout.root / ".venv").write_text("")
    result = checkout.run("run")
    assert result.status == 1
    assert result.err.startswith(f"run.sh: cannot make the folder {checkout.root}/.venv (")
    assert len(result.err.splitlines()) == 1


def test_failed_install_shows_pips_words_and_is_not_ready(checkout: Checkout) -> None:
    """Offline: pip's reason is shown, and the next start installs instead of half working."""
    checkout.python("python3", "3.11", pip_status=1)
    result = checkout.run("run", "--input", "x")
    assert result.status == 1
    assert "installing the requirements failed" in result.err
    assert "ERROR: no such host" in result.err
    assert not any("pipeline" in call for call in checkout.calls())

    checkout.python("python3", "3.11")
    assert checkout.run("run").status == 0
    assert len(checkout.pip_calls()) == 2


def test_second_start_installs_nothing(checkout: Checkout) -> None:
    """The minute is paid once, and the second start is silent."""
    checkout.python("python3", "3.11")
    first = checkout.run("run")
    assert len(first.err.splitlines()) == 1
    second = checkout.run("run")
    assert (second.status, second.out, second.err) == (0, "", "")
    assert len(checkout.pip_calls()) == 1


def test_second_start_keeps_the_interpreter(checkout: Checkout) -> None:
    """An environment made with PYTHON=... stays when the variable is not repeated."""
    checkout.python("python3.13", "3.13")
    checkout.python("python3.11", "3.11")
    checkout.run("run", PYTHON="python3.11")
    assert checkout.run("run").err == ""


@pytest.mark.parametrize("change", ["requirements.txt", "pyproject.toml", "python", "moved"])
def test_changes_that_need_a_new_install(checkout: Checkout, change: str) -> None:
    """An environment that no longer fits the checkout is made anew, not used."""
    checkout.python("python3", "3.11")
    checkout.run("run")
    env: dict[str, str] = {}
    if change == "python":
        checkout.python("python3", "3.11", build="another build")
        env["PYTHON"] = "python3"
    elif change == "moved":
        moved = checkout.root.rename(checkout.root.parent / "elsewhere")
        checkout = checkout._replace(root=moved)
    else:
        with (checkout.root / change).open("a") as file:
            file.write("# changed\n")
    assert "Installing the requirements" in checkout.run("run", **env).err
    assert len(checkout.pip_calls()) == 2


def test_test_tools_are_installed_once_and_only_for_tests(checkout: Checkout) -> None:
    """Users of the job do not wait for test tools; developers wait once."""
    checkout.python("python3", "3.11")
    checkout.run("run")
    assert not any(".[test]" in call for call in checkout.pip_calls())
    checkout.run("test", "-k", "a b")
    checkout.run("test")
    assert sum(".[test]" in call for call in checkout.pip_calls()) == 1
    assert [call for call in checkout.calls() if "-m pytest" in call] == [
        "-m pytest -k a b",
        "-m pytest -n auto --dist loadfile --no-loadscope-reorder",
    ]


def test_the_page_is_tested_in_a_browser(checkout: Checkout) -> None:
    """What drives the browser is installed beside the test tools, for that command only."""
    checkout.python("python3", "3.11")
    assert checkout.run("test-page", "-k", "fits").status == 0
    assert sum(".[test,page]" in call for call in checkout.pip_calls()) == 1
    assert checkout.calls()[-1] == "-m pytest tests/page -m browser -k fits"


def test_benchmarks_have_an_environment_of_their_own(checkout: Checkout) -> None:
    """What the benchmarks compare with must not change the versions that are tested."""
    checkout.python("python3", "3.11")
    (checkout.root / "benchmarks").mkdir()
    (checkout.root / "benchmarks" / "requirements.txt").write_text("other\n")
    assert checkout.run("bench", "--rows", "1").status == 0
    assert not (checkout.root / ".venv").exists()
    assert any("benchmarks/requirements.txt" in call for call in checkout.pip_calls())
    assert checkout.calls()[-1] == "-m benchmarks --rows 1"


@pytest.mark.parametrize(
    ("command", "module"),
    [(name, f"pipeline.cli {name}") for name in ("run", "generate", "verify", "compact", "page")],
)
def test_arguments_and_folder_reach_the_module(
    checkout: Checkout, tmp_path: Path, command: str, module: str
) -> None:
    """From another folder too: paths are the user's, globs stay whole, code is the checkout's."""
    checkout.python("python3", "3.11")
    user = tmp_path / "user's folder"
    user.mkdir()
    result = checkout.run(command, "--input", "in/*.jsonl", "--output=my table", cwd=user)
    assert result.status == 0, result.err
    last = checkout.log.read_text().splitlines()[-1]
    assert last == f"{user}|-m {module} --input in/*.jsonl --output=my table|{checkout.root}"


def test_the_modules_status_is_the_scripts(checkout: Checkout) -> None:
    """A failing job must fail the shell script that calls it."""
    venv = checkout.root.parent / "own" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").write_text("#!/bin/bash\nexit 7\n")
    (venv / "python").chmod(0o755)
    assert checkout.run("run", EVENTSIFT_VENV=str(venv.parent)).status == 7


def test_own_environment_is_used_as_it_is(checkout: Checkout) -> None:
    """EVENTSIFT_VENV (here relative) is somebody else's: nothing is installed or removed there."""
    checkout.python("python", "3.11")
    (checkout.root / "own" / "bin").mkdir(parents=True)
    shutil.copy(checkout.bin / "python", checkout.root / "own" / "bin" / "python")
    assert checkout.run("test", EVENTSIFT_VENV="own").status == 0
    assert checkout.calls() == ["-m pytest"]


def test_own_environment_that_is_none(checkout: Checkout) -> None:
    """A wrong EVENTSIFT_VENV is said, not replaced by another environment."""
    result = checkout.run("run", EVENTSIFT_VENV="/nowhere")
    assert result.status == 1
    assert result.err == "run.sh: EVENTSIFT_VENV has no bin/python: /nowhere\n"


def test_every_python_is_tested_and_missing_ones_are_named(checkout: Checkout) -> None:
    """test-pythons must not pass by leaving versions out in silence."""
    checkout.python("python3.10", "3.10")
    checkout.python("python3.12", "3.12")
    result = checkout.run("test-pythons", "-x")
    assert result.status == 0, result.err
    assert result.err.endswith("Passed: 3.12 3.10. Failed: none. Not here: 3.13 3.11.\n")
    assert checkout.calls().count("-m pytest -x") == 2
    assert {path.name for path in checkout.root.glob(".venv*")} == {".venv-3.10", ".venv-3.12"}


def test_one_failing_python_fails_them_all(checkout: Checkout) -> None:
    """The other versions are still tried, and the result is a failure."""
    checkout.python("python3.13", "3.13", pip_status=1)
    checkout.python("python3.12", "3.12")
    result = checkout.run("test-pythons")
    assert result.status == 1
    assert "Passed: 3.12. Failed: 3.13." in result.err


@pytest.fixture
def demo_python(checkout: Checkout) -> Callable[[], Result]:
    """The demonstration with a job that writes a four-row table; everything else is this Python."""
    pytest.importorskip("duckdb")
    job = checkout.root / "job.py"
    job.write_text(
        "import pathlib, pyarrow as pa, pyarrow.parquet as pq\n"
        "t = pathlib.Path('demo/table')\n"
        "for kind in ('domain=a/event_type=b', 'domain=c/event_type=d'):\n"
        "    p = t / kind / 'year=2021/month=01/day=08'\n"
        "    p.mkdir(parents=True)\n"
        "    pq.write_table(pa.table({'event_id': ['1', '2']}), p / 'part-1.parquet')\n"
        "(t / '_delta_log').mkdir()\n"
        "pq.write_table(pa.table({'txn': ['x']}), t / '_delta_log/1.checkpoint.parquet')\n"
    )
    python = checkout.root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/bash\nprintf \'%s|%s|\\n\' "$PWD" "$*" >> {checkout.log}\n'
        f'case "$2" in generator) ;; pipeline) "{sys.executable}" job.py ;;\n'
        f'  *) exec "{sys.executable}" "$@" ;; esac\n'
    )
    python.chmod(0o755)
    return lambda: checkout.run(EVENTSIFT_VENV=str(python.parent.parent), cwd=checkout.root.parent)


def test_demonstration_starts_afresh(checkout: Checkout, demo_python: Callable[[], Result]) -> None:
    """A second demonstration shows the same as the first, not a merge into the old table."""
    (checkout.root / "demo" / "table").mkdir(parents=True)
    (checkout.root / "demo" / "table" / "old").write_text("")
    result = demo_python()
    assert result.status == 0, result.err
    assert not (checkout.root / "demo" / "table" / "old").exists()
    assert [call.split(" --")[0] for call in checkout.calls()] == ["-m generator", "-m pipeline"]


def test_commands_of_the_demonstration_work_when_pasted(
    checkout: Checkout, demo_python: Callable[[], Result]
) -> None:
    """What the last lines tell the user to run does run, also past a Delta checkpoint."""
    out = demo_python().out
    commands = [line for line in out.splitlines() if line.startswith(("  cd ", "  .venv"))]
    assert len(commands) == 3, out
    pasted = subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)],
        cwd=checkout.root.parent,
        env={**os.environ, "PYTHONWARNINGS": "error::FutureWarning"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (pasted.returncode, pasted.stderr) == (0, "")
    pandas, duckdb = pasted.stdout.split("dtype: int64\n")
    assert [line.split() for line in pandas.splitlines()[1:]] == [["a", "b", "2"], ["c", "d", "2"]]
    assert "events" in duckdb
