"""A table that a real run has made of events with duplicates and broken lines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from tests import oracle
from tests.commands import Finished, command
from tests.deliveries import generate
from tests.oracle import Expected
from tests.tables import newest_summary


class Made(NamedTuple):
    """A table that one run has made; tests copy it before they change it."""

    files: list[Path]
    output: Path
    expected: Expected
    finished: Finished
    summary: dict[str, Any]

    def copy(self, target: Path) -> Path:
        """A copy with the same bytes and times."""
        return Path(shutil.copytree(self.output, target))


def make(folder: Path) -> Made:
    """400 events in two files, with duplicates and broken lines."""
    options = {"seed": 8, "types": 3, "days": 2, "duplicates": 0.3, "ties": 0.1, "broken": 0.02}
    files = generate(folder / "in", 400, files=2, **options)
    finished = command("--input", folder / "in", "--output", folder / "out")
    assert (finished.status, finished.err) == (0, "")
    return Made(
        files, folder / "out", oracle.expect(files), finished, newest_summary(folder / "out")
    )
