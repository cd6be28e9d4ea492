"""``eventsift COMMAND …``: one command for everything that can be done with a table.

``./run.sh COMMAND …`` is the same command inside the project's own environment. Imports that take
time stand in the functions: worker processes import this module, too.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

_UNCHANGED = "Nothing was published; the table is as it was."


class _Command(NamedTuple):
    """A command.

    Attributes:
        help: What the command does, for the list of commands.
        last_word: What to say if a signal ends the command before it has begun.
        main: Imports and runs the command; takes its arguments and returns its exit code.
    """

    help: str
    last_word: str
    main: Callable[[Sequence[str]], int]


def _run(arguments: Sequence[str]) -> int:
    from pipeline import start

    return start.run_job(arguments)


def _generate(arguments: Sequence[str]) -> int:
    from generator.__main__ import main

    return main(arguments)


def _verify(arguments: Sequence[str]) -> int:
    from pipeline.verify.check import main

    return main(arguments)


def _page(arguments: Sequence[str]) -> int:
    from pipeline import imports

    imports.quieten()
    imports.leave_out_unused()
    from pipeline.command.page import main

    return main(arguments)


def _compact(arguments: Sequence[str]) -> int:
    from pipeline import imports

    imports.quieten()
    from pipeline.compact import main

    return main(arguments)


def _status(arguments: Sequence[str]) -> int:
    from pipeline import imports

    imports.leave_out_unused()
    from pipeline.status.check import main

    return main(arguments)


def _catalogue(arguments: Sequence[str]) -> int:
    from pipeline import imports

    imports.leave_out_unused()
    from pipeline.describe.catalogue_command import main

    return main(arguments)


def _views(arguments: Sequence[str]) -> int:
    from pipeline import imports

    imports.leave_out_unused()
    from pipeline.describe.views_command import main

    return main(arguments)


def _plan(arguments: Sequence[str]) -> int:
    from pipeline import imports

    imports.quieten()
    imports.leave_out_unused()
    from pipeline.preview.command import main

    return main(arguments)


COMMANDS = {
    "run": _Command("keep the latest version of every event, as Parquet", _UNCHANGED, _run),
    "generate": _Command("make sample event files, with duplicates", "", _generate),
    "verify": _Command("check a table, independently of the job", "", _verify),
    "compact": _Command("merge a table's small files", _UNCHANGED, _compact),
    "plan": _Command("tell what a run would do, without doing it", "", _plan),
    "status": _Command("tell how a table is doing", "", _status),
    "catalogue": _Command("tell what is in `data`, of every type", "", _catalogue),
    "views": _Command("print SQL: a view of each type, with a column for each field", "", _views),
    "page": _Command("show a table and its runs as one HTML file", "", _page),
}


def usage(program: str) -> str:
    """Returns the help text.

    Args:
        program: What the person typed to start it.
    """
    lines = [f"  {name:10}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {program} COMMAND [ARGUMENT ...]",
            "",
            *lines,
            "",
            f"{program} COMMAND --help   the options of a command",
            f"{program} --version        the version",
        ]
    )


def _way_out(name: str) -> str:
    """Returns what to say to a person who has mistyped a command."""
    import difflib  # only for those who mistype

    # Less alike than mistyped options have to be: of three letters, two may change places.
    found = difflib.get_close_matches(name, [*COMMANDS, "--help", "--version"], 1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else f"the commands are {', '.join(COMMANDS)}"


def main() -> NoReturn:
    """Runs the command that the process's arguments name, and ends the process."""
    program = os.environ.get("EVENTSIFT_PROGRAM", "eventsift")
    name, *arguments = sys.argv[1:] or [""]
    command = COMMANDS.get(name)

    from pipeline import signals

    signals.install("eventsift", command.last_word if command else "")

    from pipeline.command import console

    console.called(program)
    if command:
        console.run(command.main, arguments)
    if name in ("-h", "--help", "help"):
        console.say(usage(program))
        signals.leave(console.DONE)
    if name == "--version":
        from pipeline import __version__

        console.say(f"eventsift {__version__}")
        signals.leave(console.DONE)
    if name:
        console.say(f"{program}: there is no command {name!r}; {_way_out(name)}", error=True)
    else:
        console.say(usage(program), error=True)
    signals.leave(console.USAGE)


if __name__ == "__main__":
    main()
