"""What the tests of run.sh share."""

import shutil
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.project.checkouts import TOOLS, Checkout


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
