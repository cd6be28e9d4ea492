"""What the generator says of a delivery is what the oracle finds in it."""

import pathlib

import numpy as np

from generator.files import deliver
from generator.options import Options
from generator.versions import BROKEN, COPY, NEW, versions
from tests import oracle


def test_the_oracle_finds_what_was_made(tmp_path: pathlib.Path) -> None:
    """Two independent counts of new, copied and broken events, which other tests rely on, agree."""
    options = Options(
        events=3000, output=tmp_path, files=3, seed=4, days=4, types=5,
        duplicates=0.4, ties=0.1, late=0.2, other_day=0.2, broken=0.02, extra=0.1,
    )  # fmt: skip

    summary = deliver(options)
    found = oracle.expect(sorted(tmp_path.iterdir()))

    fates = np.bincount(versions(options, 0, options.events).fate)
    assert found.events == {
        "read": summary.events,
        "kept": summary.new_ids,
        "superseded": summary.duplicates - fates[COPY],
        "exact_duplicates": fates[COPY],
        "rejected": summary.broken,
    }
    assert (summary.new_ids, summary.broken) == (fates[NEW], fates[BROKEN])
    assert found.rows.total() == summary.new_ids
