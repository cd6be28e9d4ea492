"""Progress: what some work has counted, in the words that `notices` shows.

Imported only where work takes long enough for somebody to look.
"""

import time

from pipeline.amounts import counted, duration, size
from pipeline.notices import Now, Work


def of_work(work: Work, unit: str, began: float) -> Now:
    """Returns how some work goes on.

    Args:
        work: What was counted.
        unit: What `total` and `done` count: "byte", or the like.
        began: When it began, by `time.monotonic`.
    """
    took = time.monotonic() - began
    done, total = min(work.done, work.total), work.total
    if not total:
        return Now(work.about, [work.step, since(took)])
    amount = of(done, total) if unit == "byte" else f"{done:,} of {counted(total, unit)}"
    parts = [work.step, amount, share(done, total)]
    if done and took:
        if work.bytes:
            parts.append(f"{size(work.bytes / took)}/s")
        parts.append(left(took * (total - done) / done))
    return Now(work.about, parts, dispensable=(3, 2) if work.bytes else (2,))


def of(done: int, total: int) -> str:
    """Returns how many of how many bytes, such as "12.3 of 54.3 MB"."""
    first, second = size(done), size(total)
    if not done or first.rpartition(" ")[2] == second.rpartition(" ")[2]:
        first = first.rpartition(" ")[0]
    return f"{first} of {second}"


def share(done: int, total: int) -> str:
    """Returns a share, rounded down: "100 %" is all."""
    return f"{100 * done // total} %" if total else ""


def since(seconds: float) -> str:
    """Returns how long something takes already, in whole seconds: faster, nobody can read."""
    return duration(int(seconds)).replace(".0 s", " s")


def left(seconds: float) -> str:
    """Returns how long it will take; "" if it should have ended."""
    return f"{duration(round(seconds))} left".replace(".0 s", " s") if seconds >= 0.5 else ""
