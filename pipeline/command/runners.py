"""Runners: which one is meant, who uses the cores, and what it prints."""

import contextlib
import io
import logging
import os
from collections.abc import Iterator

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)

from pipeline import notices, signals

LOCAL = "FnApiRunner"
PRISM = "PrismRunner"

# Beam's experiment with which LOOPBACK starts processes, not threads of this process.
_PROCESSES = "use_loopback_process_worker"


def name(options: PipelineOptions) -> str:
    """Returns the runner's name; for `DirectRunner`, the name people know, that of the local one.

    Beam's own DirectRunner is a switch that may fetch another runner and run a pipeline twice.
    """
    given = options.view_as(StandardOptions).runner or LOCAL
    return LOCAL if given == "DirectRunner" else str(given)


def leaves_cores(options: PipelineOptions) -> bool:
    """Tells whether the Python workers are this process, so that steps use all cores themselves.

    The engine then has only threads of this process, which share one interpreter lock.
    """
    mode = options.view_as(DirectOptions).direct_running_mode
    if name(options) == LOCAL:
        return mode in (None, "in_memory")
    in_processes = options.view_as(DebugOptions).lookup_experiment(_PROCESSES)
    kind = options.view_as(PortableOptions).environment_type
    return not in_processes and (kind == "LOOPBACK" or (name(options) == PRISM and kind is None))


@contextlib.contextmanager
def quiet(verbose: bool) -> Iterator[None]:
    """Keeps Beam's workers from printing within the ``with`` block, unless `verbose`.

    They log, and they print the traceback of each failure, in this process and in those it starts.
    The failure is raised anyway.
    """
    if verbose:
        yield
        return
    with notices.held(), _silence():
        yield


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    levels = {handler: handler.level for handler in logging.getLogger().handlers}
    for handler in levels:
        handler.setLevel(logging.CRITICAL)
    # Beam's local workers log at any level, so their standard error leads nowhere.
    stderr = os.dup(2)
    try:
        with signals.speaking_through(stderr), contextlib.redirect_stderr(io.StringIO()):
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
    finally:
        os.close(stderr)
        for handler, level in levels.items():
            handler.setLevel(level)
