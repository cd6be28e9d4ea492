"""A run's id: what it is sorted by, and what it looks like."""

import datetime
import re
import time

from pipeline.run import began, new_run_id


def test_ids_are_sorted_by_time() -> None:
    """Also within a second.

    Seen to fail with six random digits: `status` showed the last of two runs as the first.
    """
    ids = []
    for _ in range(50):
        ids.append(new_run_id())
        time.sleep(0.0001)
    assert ids == sorted(set(ids))


def test_an_id_tells_when_the_run_began() -> None:
    """To the second, for people."""
    run_id = new_run_id()
    assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{6}", run_id)
    found = began(run_id)
    assert found is not None
    assert abs(found - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(seconds=9)
    assert began("something else") is None
