"""Starting fast: what can be done, and left undone, before Beam is imported."""

import importlib.abc
import itertools
import os
import sys
from collections.abc import Sequence
from typing import Any

# A process reads about that in the time in which another one starts.
WORK_BYTES = 96 << 20

# So many files are enough work as well, however small they are; listing more of them takes time.
_WORK_FILES = 5_000

# Beam and pyarrow import them if they are there. Nothing here uses them, and they take half as long
# again as all that is used.
_UNUSED = ("pandas", "pymongo")


class _NotThere(importlib.abc.MetaPathFinder):
    """Finds no package that is not used."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Refuses, or leaves it to the next finder."""
        if fullname in _UNUSED:
            raise ModuleNotFoundError(f"{fullname} is not used", name=fullname)


def prepare() -> None:
    """Prepares this process, and those it starts, for imports that are fast and memory that stays.

    To be called before pyarrow is imported.
    """
    sys.meta_path.insert(0, _NotThere())
    # Beam makes a thousand parsers of options, each of which looks for a translation of its words.
    os.environ.setdefault("LANGUAGE", "C")
    # Arrow's allocator keeps freed memory for a second, and not for 10 ms only: the next table
    # needs as much again, and the kernel clears each page that it hands out.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "1000")


def start_workers_early(arguments: Sequence[str]) -> None:
    """Starts the processes that read, if the command's input is large enough for them.

    They start while this process, on another core, imports Beam.

    Args:
        arguments: The command's.
    """
    from pipeline import processes, storage
    from pipeline.command import options

    own, of_beam = options.parser().parse_known_args(arguments)
    workers = processes.available() if own.workers is None else own.workers
    elsewhere = any(option.startswith(("--runner", "--direct_running")) for option in of_beam)
    if elsewhere or workers < 2:
        return
    local = [pattern for pattern in own.input or () if storage.is_local(pattern)]
    sizes = (file.bytes for pattern in local for file in storage.match_local(pattern, {}))
    for number, total in enumerate(itertools.accumulate(sizes), start=1):
        if total >= WORK_BYTES or number == _WORK_FILES:
            processes.start(workers)
            return
