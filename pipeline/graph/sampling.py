"""Beam's watch over its steps: a thread that looks which step is at work, and sleeps in between.

It sleeps for 1 ms at first, each time a fifth longer, and at last for 0.2 s. When a bundle ends,
Beam waits until this thread wakes up; meanwhile no core has work. `pipeline.start` has what that
costs.
"""

import contextlib
from collections.abc import Iterator

from apache_beam.runners.worker import statesampler

from pipeline import imports

# Each look takes some microseconds, and does not hold Python's lock.
_LONGEST_MS = 2


@contextlib.contextmanager
def often() -> Iterator[None]:
    """Lets Beam's thread sleep for no longer than 2 ms, for bundles within the ``with`` block."""
    # Beam passes no period: what it takes is the default of the last argument.
    begin = statesampler.StateSampler.__init__
    before = begin.__defaults__
    if imports.is_plain() or before != (statesampler.DEFAULT_SAMPLING_PERIOD_MS,):
        yield
        return
    begin.__defaults__ = (_LONGEST_MS,)
    try:
        yield
    finally:
        begin.__defaults__ = before
