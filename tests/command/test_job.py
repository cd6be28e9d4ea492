"""The command in this process: usage errors, failures in one sentence, starting again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline import flow
from pipeline.command import console, job
from pipeline.steps import checks
from pipeline.table import commits, datafiles
from pipeline.table.address import Table
from tests.deliveries import Event, deliver
from tests.tables import files_of, ids

ENOUGH = ["--input", "a", "--output", "b"]
LEFT_ALONE = "Nothing was published; the table is as it was.\n"


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A command line that works."""
    delivery = deliver(tmp_path / "in.jsonl", [Event("a", "2021-01-08T10:00:00Z")])
    return ["--input", str(delivery), "--output", str(tmp_path / "out")]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "--input and --output are needed, e.g. --input 'in/*.jsonl' --output out/"),
        (["--input", "x"], "--input and --output are needed"),
        (["--output", "x"], "--input and --output are needed"),
        (["--input", "x", "--output", "y", "--bogus"], "unknown option --bogus"),
        (["--input", "x", "--output", "y", "--bogus=1"], "unknown option --bogus"),
        (["--input", "x", "--output", "y", "--max-event-mb", "0"], "0 is not at least 1"),
        (["--input", "x", "--output", "y", "--workers", "all"], "'all' is not a whole number"),
    ],
)
def test_a_usage_error_is_one_sentence_and_status_2(
    options: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong command line is told from a failed run, and touches nothing."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as stopped:
        job.main(options)

    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_runner_is_named(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A usage error, with the runners that there are, or with the one that is almost meant."""
    for given, way_out in [
        ("NoSuchRunner", "give one of DirectRunner, PrismRunner, "),
        ("PrismRuner", "did you mean PrismRunner?"),
        ("flinkrunner", ""),
        ("a.module.MyRunner", ""),
    ]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(job.Job, "run", lambda _, run_id: 77)  # nothing may come that far
            status = stopped_with([*arguments, f"--runner={given}"])

        said = capsys.readouterr().err
        assert status == (2 if way_out else 77)
        assert not way_out or f"--runner={given}: there is no such runner; {way_out}" in said
        assert said.count("\n") == bool(way_out)


def stopped_with(arguments: list[str]) -> int | str | None:
    """The exit code of the job, also where argparse ends it."""
    try:
        return job.main(arguments)
    except SystemExit as stopped:
        return stopped.code


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ouput", "x"], "unknown option --ouput; did you mean --output?"),
        (["--ouput=x", "--workers", "all"], "unknown option --ouput; did you mean --output?"),
        (["--max-rejects", "1"], "unknown option --max-rejects; did you mean --max-rejected?"),
        (["--environment-type=X"], "--environment-type; did you mean --environment_type?"),
        (["--bogus"], "unknown option --bogus; see --help"),
        ([*ENOUGH, "--workers", "1", "c"], "'c' belongs to no option; see --help"),
        ([*ENOUGH, "-v"], "unknown option -v; see --help"),
        (["--input", "", "--output", "b"], "--input: '' is no path"),
        ([*ENOUGH, "--max-event-mb", "9999999999"], "'9999999999' has more than 9 digits"),
        ([*ENOUGH, "--watch", "9999999d"], "'9999999d' is more than 366d"),
        (["--input", "ftp://a", "--output", "b"], "ftp://a: there is no store ftp://; give a"),
    ],
)
def test_a_mistyped_option_is_named_before_anything_else(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the one that is almost meant, ours or Beam's; one line, without the usage."""
    assert stopped_with(options) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_an_interrupted_run_says_so(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is no failure to be explained."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "build", interrupt)

    assert job.main(arguments) == 130
    assert capsys.readouterr().err.startswith("eventsift: interrupted\n")


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        pytest.param([], True, id="one process with the local runner"),
        pytest.param(["--workers=1"], True, id="one process on one core"),
        pytest.param(["--workers=0"], False, id="steps that use no cores themselves"),
        pytest.param(["--direct_running_mode=multi_processing"], False, id="Beam's processes"),
        pytest.param(
            ["--direct_running_mode=multi_processing", "--workers=2"], False, id="with cores each"
        ),
    ],
)
def test_where_versions_are_stored(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, options: list[str], stored: bool
) -> None:
    """Only where all that reads them is this process or its children; else they are shuffled."""
    found = []

    def look(*given: Any) -> None:
        found.append(given[1:])
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "build", look)

    assert job.main([*arguments, *options]) == 130
    ((run, _, scratch),) = found
    assert scratch == (run.staging if stored else "")


def test_a_failure_deep_in_the_graph_is_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam wraps it in its own traceback and the name of the step; people see the cause alone."""

    def refuse(*_: Any) -> list[str]:
        return ["blocks planned = blocks read: 2 is not 1"]

    monkeypatch.setattr(checks, "disagreements", refuse)

    assert job.main(arguments) == console.FAILED
    assert capsys.readouterr().err == (
        "eventsift: nothing was published, the counts disagree:"
        f" blocks planned = blocks read: 2 is not 1\n{LEFT_ALONE}"
    )


def test_a_run_that_was_overtaken_starts_again(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another run's commit between plan and commit costs time, nothing else."""
    commit = commits.commit
    calls: list[str] = []

    def overtaken(table: Table, version: int, run_id: str, *rest: Any, **options: Any) -> int:
        calls.append(run_id)
        if len(calls) == 1:
            raise datafiles.ConflictError("another run has committed version 7")
        return commit(table, version, run_id, *rest, **options)

    monkeypatch.setattr(commits, "commit", overtaken)

    assert job.main(arguments) == console.DONE
    assert len(set(calls)) == 2
    assert ids(tmp_path / "out") == ["a"]
    assert capsys.readouterr().err == "eventsift: another run was faster; starting again\n"


def test_a_run_that_is_always_overtaken_gives_up(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends, says whose fault it was not, and leaves no table."""

    def overtaken(*_: Any, **__: Any) -> int:
        raise datafiles.ConflictError("another run has committed version 7")

    monkeypatch.setattr(commits, "commit", overtaken)

    assert job.main(arguments) == console.FAILED
    said = capsys.readouterr().err
    assert said.endswith(f"eventsift: another run has committed version 7\n{LEFT_ALONE}")
    assert files_of(tmp_path / "out") == {}
