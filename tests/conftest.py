"""Hypothesis: on the build server always the same examples, elsewhere new ones every time."""

import os

from hypothesis import Phase, settings

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
