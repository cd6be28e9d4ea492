"""Starting and ending fast: while Beam is imported, while it builds its graph, and at the end.

============================  =========================================================
`imports.leave_out_unused`    one event takes 1.20 times as long without it (`gcp`: more)
`OPENBLAS_NUM_THREADS`        a million events take 1.04 times as long without it (0.12 s)
`_import_job`                 one event takes 1.15 times as long without it
`answers.remembered`          one event takes 1.16 times as long without it
`signals.leave(at_once=…)`    one event takes 1.03 times as long without it
`sampling.often`              a million events take 1.04 times as long without it (0.13 s)
`start_workers_early`         400,000 events take 1.04 times as long without it (0.1 s)
============================  =========================================================

One event takes 0.8 s with them, and 1.8 times as long without all of them: medians of 7 to 30
interleaved rounds on 2 cores. EVENTSIFT_PLAIN_START=1 switches them off; the result of a run is the
same.
"""

import gc
import itertools
from collections.abc import Callable, Sequence

# This many files are enough work, however small they are; listing more of them takes time.
_WORK_FILES = 5_000


def start_workers_early(arguments: Sequence[str]) -> None:
    """Starts the processes that read, if the command's input is large enough for them.

    They start while this process, on another core, imports Beam.

    Args:
        arguments: The command's arguments.
    """
    from pipeline import imports, processes, storage
    from pipeline.command import options

    own, of_beam = options.parser().parse_known_args(arguments)
    workers = processes.available() if own.workers is None else own.workers
    elsewhere = any(option.startswith(("--runner", "--direct_running")) for option in of_beam)
    if elsewhere or workers < 2 or imports.is_plain():
        return
    local = [pattern for pattern in own.input or () if storage.is_local(pattern)]
    sizes = (file.bytes for pattern in local for file in storage.match_local(pattern, {}))
    for number, total in enumerate(itertools.accumulate(sizes), start=1):
        if total >= processes.WORK_BYTES or number == _WORK_FILES:
            processes.start(workers)
            return


def run_job(arguments: Sequence[str]) -> int:
    """Runs the job; see `job.main`.

    Args:
        arguments: The command's arguments.

    Returns:
        The exit code.
    """
    from pipeline import imports, notices
    from pipeline.command import options
    from pipeline.run import new_run_id

    run_id = new_run_id()
    if not options.is_quiet(arguments):
        notices.begin(f"run {run_id}: starting")
    imports.quieten()
    imports.leave_out_unused()
    start_workers_early(arguments)
    return _import_job()(arguments, run_id)


def _import_job() -> Callable[[Sequence[str], str], int]:
    """Returns `job.main`. What is imported stays, so the garbage collector never looks at it."""
    from pipeline import imports

    if imports.is_plain():
        from pipeline.command import job

        return job.main
    gc.disable()
    from pipeline.command import job

    gc.freeze()
    gc.enable()
    return job.main
