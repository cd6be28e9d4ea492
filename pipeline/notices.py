"""Notices: what a person should know although the run goes on, one line each on stderr.

While Beam works, stderr is closed (see `runners.quiet`), and notices are printed right after it.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_held: list[str] | None = None


def say(text: str) -> None:
    """Prints a notice, at once or when stderr is open again."""
    line = f"eventsift: {' '.join(text.split())}"
    with _lock:
        if _held is None:
            print(line, file=sys.stderr, flush=True)
        elif line not in _held:
            _held.append(line)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Holds notices back within the ``with`` block, and prints each once when it ends."""
    global _held
    with _lock:
        _held = []
    try:
        yield
    finally:
        with _lock:
            lines, _held = _held or [], None
        for line in lines:
            print(line, file=sys.stderr, flush=True)
