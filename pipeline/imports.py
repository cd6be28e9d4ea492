"""Imports that print nothing, load no unused package and start no unused threads.

`start` has what this gains.
"""

import importlib.abc
import logging
import os
import sys
from typing import Any

# Beam and pyarrow import them if they are installed. Nothing here uses them.
_UNUSED = ("pandas", "pymongo", "apache_beam.io.gcp.bigquery")


class _NotThere(importlib.abc.MetaPathFinder):
    """Finds no package that is not used."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Refuses the package, or leaves it to the next finder."""
        if fullname in _UNUSED:
            raise ModuleNotFoundError(f"{fullname} is not used", name=fullname)


def is_plain() -> bool:
    """Tells whether the user has switched off what makes the start fast; see `start`."""
    return bool(os.environ.get("EVENTSIFT_PLAIN_START"))


def quieten() -> None:
    """Keeps Beam and gRPC from printing while they are imported; ``--verbose`` undoes it."""
    logging.basicConfig(level=logging.CRITICAL)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def leave_out_unused() -> None:
    """Keeps this process from loading packages and starting threads that are not used.

    To be called before numpy and pyarrow are imported.
    """
    if not is_plain():
        sys.meta_path.insert(0, _NotThere())
        # numpy would start threads for linear algebra, which nothing here does.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
