"""Starting fast: what can be done before Beam is imported."""

import gc
import itertools
from collections.abc import Sequence

# So many files are enough work as well, however small they are; listing more of them takes time.
_WORK_FILES = 5_000


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
        if total >= processes.WORK_BYTES or number == _WORK_FILES:
            processes.start(workers)
            return


def run_job(arguments: Sequence[str]) -> int:
    """Runs the job; see `job.main`.

    Args:
        arguments: The command's.

    Returns:
        The exit code.
    """
    from pipeline import imports

    imports.quieten()
    imports.prepare()
    start_workers_early(arguments)

    gc.disable()  # what is imported stays
    from pipeline.command import job

    gc.freeze()
    gc.set_threshold(200_000)  # lists of files have no cycles to look for, and may be long
    gc.enable()
    return job.main(arguments)
