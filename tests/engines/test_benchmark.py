"""The comparison of engines: it runs, and compares like with like."""

import pathlib

import pytest
from conftest import go_program

from benchmarks import engines, stores
from tests.apparatus import install


@pytest.mark.parametrize("hot", [False, True])
def test_prism_next_to_local(prism: pathlib.Path, tmp_path: pathlib.Path, hot: bool) -> None:
    """Both make the table, in the same rounds; the time is the job's own, start-up aside."""
    results = engines.measure(2_000, 1, ["prism"], tmp_path, hot=hot)

    assert list(results.took) == ["local", "prism"]
    for (run,) in results.took.values():
        assert 0 < run.wall_seconds < run.usage.wall_seconds
    assert "1,800 rows in all tables" in engines.markdown(results)


def test_a_store_next_to_the_local_disk(tmp_path: pathlib.Path) -> None:
    """Both make the table; the bytes are those that the proxy saw."""
    go_program(install.VERSITYGW)

    results = stores.measure(2_000, 1, tmp_path)

    size = results.delivery.summary.size_bytes
    assert size < results.moved < 3 * size + (8 << 20)  # the log, the summary and the page
    assert 40 < results.requests < 400
    assert "2,000 events" in stores.markdown(results)
