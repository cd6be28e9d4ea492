"""What Beam asks again and again is answered as it would answer, and once."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions
from apache_beam.transforms import userstate
from apache_beam.transforms.userstate import BagStateSpec

from pipeline.graph import answers

SPEC = BagStateSpec("seen", beam.coders.VarIntCoder())


class Stateful(beam.DoFn):
    """Has state."""

    def process(self, element: object, seen: object = beam.DoFn.StateParam(SPEC)) -> None:  # type: ignore[no-untyped-call]
        """Does nothing."""


class Plain(beam.DoFn):
    """Has none."""


def test_a_function_is_inspected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each for itself, with its own state."""
    asked: list[beam.DoFn] = []
    inspect = userstate.get_dofn_specs
    monkeypatch.setattr(
        userstate, "get_dofn_specs", lambda function: asked.append(function) or inspect(function)
    )
    functions = [Stateful(), Plain(), Plain()]
    with answers.remembered():
        found = [userstate.is_stateful_dofn(function) for function in functions * 3]
    assert found == [True, False, False] * 3
    assert asked == functions


def test_views_of_options_stay_views() -> None:
    """A value set in one is seen in all of them; other options have views of their own."""
    options, other = PipelineOptions(["--streaming"]), PipelineOptions([])
    with answers.remembered():
        view = options.view_as(StandardOptions)
        assert view is options.view_as(StandardOptions)
        assert view.streaming and not other.view_as(StandardOptions).streaming
        view.runner = "Some"
        again = options.view_as(TypeOptions).view_as(StandardOptions)
        assert (again.runner, options.get_all_options()["runner"]) == ("Some", "Some")


def test_beam_is_left_as_it_was() -> None:
    """Also by a run that fails."""
    before = userstate.get_dofn_specs, PipelineOptions.view_as
    with pytest.raises(ValueError, match="failed"), answers.remembered():
        raise ValueError("failed")
    assert (userstate.get_dofn_specs, PipelineOptions.view_as) == before


def test_a_plain_start_remembers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever suspects it can switch it off."""
    monkeypatch.setenv("EVENTSIFT_PLAIN_START", "1")
    before = userstate.get_dofn_specs
    with answers.remembered():
        assert userstate.get_dofn_specs is before
