"""The job's own options: what they accept, what they are without being given."""

from __future__ import annotations

import argparse

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.command import options
from pipeline.command.beam_options import EventsiftOptions
from pipeline.input import contracts

NEEDED = ["--input", "in", "--output", "out"]


def test_inputs_add_up() -> None:
    """Several patterns after one --input, and several --input, as shells and schedulers do it."""
    parsed = options.parser().parse_args(["--input", "a", "b", "--output", "o", "--input", "c"])
    assert parsed.input == ["a", "b", "c"]


def test_defaults_are_those_that_the_help_names() -> None:
    """A default told wrongly is worse than none: both stand in the code, side by side."""
    parsed = options.parser().parse_args(NEEDED)
    text = " ".join(options.parser().format_help().split())
    for name in ("max_partitions", "max_event_mb", "target_file_mb"):
        assert f"(default: {getattr(parsed, name)})" in text
    assert (parsed.temp, parsed.workers, parsed.rebuild, parsed.verbose) == (None,) * 2 + (
        False,
    ) * 2


@pytest.mark.parametrize("name", ["--max-partitions", "--max-event-mb", "--target-file-mb"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "", "٣"])
def test_limits_are_whole_numbers_from_1(
    name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anything else is a usage error that shows the value; the digit of another script is one."""
    with pytest.raises(SystemExit) as stopped:
        options.parser().parse_args([*NEEDED, f"{name}={value}"])

    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"python -m pipeline: error: argument {name}: ")
    assert (value if value == "0" else repr(value)) in said


def test_workers_may_be_none_at_all() -> None:
    """0 leaves the cores to the runner; nothing given leaves the choice to the job."""
    assert options.parser().parse_args([*NEEDED, "--workers", "0"]).workers == 0


def test_modes_of_contracts_are_those_of_the_code() -> None:
    """They stand in two places, because the options are needed before what takes time."""
    assert options._MODES == contracts.MODES


def test_options_are_not_abbreviated() -> None:
    """A script that says --out today would mean something else once there is a second --out…."""
    _, rest = options.parser().parse_known_args(["--inp", "x", "--out", "y"])
    assert rest == ["--inp", "x", "--out", "y"]


def test_beam_knows_the_options_and_requires_none() -> None:
    """Templates list them; any other pipeline in the process must still be able to do without."""
    parser = argparse.ArgumentParser()
    EventsiftOptions._add_argparse_args(parser)
    assert parser.parse_args([]).input is None
    assert PipelineOptions(NEEDED).view_as(EventsiftOptions).output == "out"
