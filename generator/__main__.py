"""The command line: ``python -m generator --help``."""

if __name__ == "__main__":  # before the imports that take time
    from pipeline import signals

    signals.install("eventsift")

import importlib.util
import os
import sys
from collections.abc import Sequence

from generator.options import parse
from pipeline.amounts import counted
from pipeline.command import console, explain, reasons
from pipeline.command.options import is_quiet
from pipeline.notices import Work


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a delivery.

    Args:
        arguments: The command line; by default the process's own.

    Returns:
        The exit status: 0, or 1 if the files could not be written.

    Raises:
        SystemExit: With status 2, if the options are wrong.
    """
    options = parse(arguments)
    if importlib.util.find_spec("faker") is None:
        console.say(
            "eventsift: Faker is not installed; install it with:"
            " pip install 'eventsift[generator]'",
            error=True,
        )
        return console.FAILED
    folder = os.path.abspath(options.output)
    if problem := explain.unusable_folder("--output", folder):
        console.say(f"eventsift: {problem}", error=True)
        return console.FAILED
    # Only now: numpy and Faker take longer to load than --help takes to print.
    from generator.files import deliver

    work = Work("generate")
    work.total = options.events
    work.about = f"{counted(options.events, 'event')} in {counted(options.files, 'file')}"
    quiet = is_quiet(sys.argv[1:] if arguments is None else arguments)
    try:
        with console.telling(work, "event", quiet=quiet):
            summary = deliver(options, work)
    except OSError as error:
        where = error.filename or options.output
        why = error.strerror or str(error)
        if reasons.is_full(error):
            why += f"{explain.no_room(folder)}, or give another folder with --output"
        console.say(f"eventsift: cannot write {where}: {why}", error=True)
        return console.FAILED
    console.say(summary.sentence())
    return console.DONE


if __name__ == "__main__":
    console.run(main)
