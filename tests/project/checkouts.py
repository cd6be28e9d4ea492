"""Checkouts in which nothing is real but run.sh: interpreters are stubs that log their calls."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

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
