"""The report for programs: what is written where, also when a run fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.command import console, job, report_file
from pipeline.steps import checks
from tests.small_runs import line, newest, run, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A delivery."""
    return write(tmp_path / "in.jsonl", line("a"))


def test_it_is_the_summary_that_is_kept(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written to a file, people still get their report."""
    target = tmp_path / "new folder" / "report.json"

    run(source, tmp_path / "table", "--report-json", str(target))

    (kept,) = (tmp_path / "table" / "_eventsift" / "runs").iterdir()
    assert json.loads(target.read_text()) == json.loads(kept.read_text())
    assert "\nPublished as version 1.\n" in capsys.readouterr().out


def test_standard_output_has_nothing_else(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that it can be piped into a program."""
    run(source, tmp_path / "table", "--report-json", "-")
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == newest(tmp_path / "table").run


def test_a_failed_run_leaves_why(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not what the run before has left, which would pass for this one's report."""
    target = write(tmp_path / "report.json", "an old one")
    monkeypatch.setattr(checks, "disagreements", lambda _: ["2 is not 1"])

    code = console.FAILED
    with pytest.raises(ValueError, match="empty"):  # no summary was stored
        run(source, tmp_path / "table", "--report-json", str(target), code=code)

    found = json.loads(target.read_text())
    assert found.pop("run")
    assert found == {
        "output": str(tmp_path / "table"),
        "version": None,
        "published": False,
        "error": "nothing was published, the counts disagree: 2 is not 1",
        "exit_code": 1,
    }
    assert f"eventsift: {found['error']}\n" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_changes_nothing(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is published stays so; a line says what is missing."""
    run(source, tmp_path / "table")
    summary = newest(tmp_path / "table")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write_bytes", full)
    report_file.write("/full/report.json", summary)

    said = capsys.readouterr().err
    assert said == (
        "eventsift: the report cannot be written to /full/report.json: No space left on device\n"
    )


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (".", "--report-json . is a folder; give a file"),
        ("in.jsonl/x", "in.jsonl is a file, not a folder; give a folder"),
    ],
)
def test_what_can_never_be_a_file_is_refused_at_once(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    sentence: str,
) -> None:
    """And not after an hour's run."""
    monkeypatch.chdir(tmp_path)
    arguments = ["--input", str(source), "--output", "table", "--report-json", target]
    assert job.main(arguments) == console.FAILED
    assert sentence in capsys.readouterr().err
    assert not Path("table").exists()


def test_watching_speaks_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Two languages in one stream would be of use to nobody."""
    with pytest.raises(SystemExit) as stopped:
        job.main(["--input", "a", "--output", "b", "--watch", "1s", "--report-json", "-"])
    assert stopped.value.code == console.USAGE
    assert "give --report-json a file" in capsys.readouterr().err
