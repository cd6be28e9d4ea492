"""The commands of the README that let people see for themselves, in small."""

import re
import shlex
from pathlib import Path

import pytest

from generator.__main__ import main as generate
from pipeline.command import job
from pipeline.verify.check import main as verify
from tests.commands import ROOT, in_process

MAINS = {"generate": generate, "run": job.main, "verify": verify}


def test_they_do_what_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile delivery, a run, and a table that is right by answers and by input."""
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"^```\n(\./run\.sh generate .*?)^```$", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for line in block.splitlines():
        _, name, *arguments = shlex.split(line.replace(" 100000 ", " 1500 "))
        done = in_process(*arguments, main=MAINS[name])  # type: ignore[arg-type]
        assert (done.status, done.err) == (0, "")

    assert [*MAINS] == [line.split()[1] for line in block.splitlines()]
    assert re.search(r"\ncompared +846 events that must be there, 180 rejects \(by an", done.out)
    assert done.out.endswith("Everything is right.\n")
