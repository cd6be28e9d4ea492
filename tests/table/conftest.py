"""What the tests of tables share."""

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Where the test's table will be."""
    return str(tmp_path / "table")
