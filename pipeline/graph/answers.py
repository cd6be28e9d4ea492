"""Beam's answers about options and functions, remembered: it asks for each of them many times.

Beam parses the whole command line anew each time it looks at an option, some 430 times for one of
our runs, and inspects all methods of a function object five times for each step. Together that took
0.2 s of a run; `pipeline.start` has what remembering them gains.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from apache_beam import DoFn
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import userstate

from pipeline import imports


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Remembers, within the ``with`` block, what Beam has asked before.

    The answers are the same: the state and timers of a function object depend on its methods, which
    nobody changes, and all views of options share one dictionary of values.
    """
    if imports.is_plain():
        yield
        return
    specs: WeakKeyDictionary[DoFn, Any] = WeakKeyDictionary()
    views: WeakKeyDictionary[PipelineOptions, dict[type, PipelineOptions]] = WeakKeyDictionary()
    get_specs, view_as = userstate.get_dofn_specs, PipelineOptions.view_as

    def specs_of(function: DoFn) -> Any:
        if function not in specs:
            specs[function] = get_specs(function)
        return specs[function]

    def view_of(options: PipelineOptions, kind: type[PipelineOptions]) -> PipelineOptions:
        own = views.setdefault(options, {})
        if kind not in own:
            own[kind] = view_as(options, kind)
        return own[kind]

    # mypy knows that these are no variables; beside them there is no way to say it.
    setattr(userstate, "get_dofn_specs", specs_of)  # noqa: B010
    setattr(PipelineOptions, "view_as", view_of)  # noqa: B010
    try:
        yield
    finally:
        setattr(userstate, "get_dofn_specs", get_specs)  # noqa: B010
        setattr(PipelineOptions, "view_as", view_as)  # noqa: B010
