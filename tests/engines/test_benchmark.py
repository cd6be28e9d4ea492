"""The comparison of engines: it runs, and compares like with like."""

import pathlib

from benchmarks import engines


def test_prism_next_to_local(prism: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Both make the table, in the same rounds; the time is the job's own, start-up aside."""
    results = engines.measure(2_000, 1, ["prism"], tmp_path)

    assert list(results.took) == ["local", "prism"]
    for (run,) in results.took.values():
        assert 0 < run.wall_seconds < run.usage.wall_seconds
    assert "1,800 rows in all tables" in engines.markdown(results)
