"""Why a path cannot be used: what a root user, or a machine with all extras, never gets to see."""

import os
from pathlib import Path

import pytest

from pipeline.command import explain


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder itself, or the one in which it would have to be made."""
    assert explain.unusable_folder("--output", str(tmp_path / "new")) is None

    monkeypatch.setattr(os, "access", lambda *_: False)

    assert explain.unusable_folder("--output", str(tmp_path)) == (
        f"--output {tmp_path}: it cannot be written (Permission denied);"
        " change its permissions, or give another folder"
    )
    said = explain.unusable_folder("--output", str(tmp_path / "new" / "table"))
    assert said
    assert f"the folder {tmp_path} cannot be written" in said


@pytest.mark.parametrize("path", ["s3://bucket/x", "gs://bucket/x", "hdfs://host/x"])
def test_a_store_is_asked_of_nobody(path: str) -> None:
    """What only a local file system has is not looked for in a store."""
    assert explain.not_a_folder("--output", path) is None
    assert explain.unusable_folder("--output", path) is None
    assert explain.stream_input(path) is None
    assert "nothing is there" in explain.no_match(path)
