"""Imports that are fast, since what is not used is left out, and that print nothing."""

import importlib.abc
import logging
import os
import sys
from typing import Any

# Beam and pyarrow import them if they are there. Nothing here uses them, and they take half as long
# again as all that is used.
_UNUSED = ("pandas", "pymongo")


class _NotThere(importlib.abc.MetaPathFinder):
    """Finds no package that is not used."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Refuses, or leaves it to the next finder."""
        if fullname in _UNUSED:
            raise ModuleNotFoundError(f"{fullname} is not used", name=fullname)


def quieten() -> None:
    """Keeps Beam and gRPC from printing while they are imported; ``--verbose`` undoes it."""
    logging.basicConfig(level=logging.CRITICAL)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


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
