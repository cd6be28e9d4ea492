"""For all tests: how Hypothesis chooses examples, and that no process outlives a test.

On the build server the examples are always the same, elsewhere new ones every time.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from pipeline import processes

# Tests of what a command says on stderr must not depend on how long it takes on a busy machine.
os.environ["EVENTSIFT_QUIET"] = "1"

# Shrinking runs a failing example hundreds of times, for minutes where each is several runs of the
# job: the build server only says how to repeat it, and it is shrunk there.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    print_blob=True,
    phases=[phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)],
)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Processes that a test has started end with it."""
    yield
    processes.stop()
