"""What all commands have in common: exit codes, how they speak, how they end."""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TextIO

from pipeline import imports, notices, signals, storage
from pipeline.notices import Now, Work

# docs/options.md has a table of them; tests hold the two together. Signals add 129, 130 and 143.
DONE, FAILED, USAGE, REJECTED = 0, 1, 2, 3


_program = ""


def called(program: str) -> None:
    """Remembers what the person typed to start a command of `cli`."""
    global _program
    _program = program


def name(command: str, module: str) -> str:
    """Returns what a usage line calls a command: as it was typed.

    Args:
        command: The command's name after ``eventsift``.
        module: The module that was started otherwise.
    """
    return f"{_program} {command}" if _program else f"python -m {module}"


def say(text: str, *, error: bool = False) -> None:
    """Prints a line. If it cannot be printed, it is dropped, and so is all later output.

    The reader may have gone (``… | head -1``, a terminal that was closed) and the disk may be full:
    neither changes what the command has done, nor its exit code.

    Args:
        text: The line, or several.
        error: Whether it goes to standard error.
    """
    notices.wipe()
    stream = sys.stderr if error else sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError as problem:
        _drop(stream, problem)


def telling(
    work: Work, unit: str, *, quiet: bool = False
) -> contextlib.AbstractContextManager[None]:
    """Tells on standard error, within the ``with`` block, how some work goes on.

    Args:
        work: Who does it counts there.
        unit: What is counted: "byte", "event".
        quiet: Whether to tell nothing.
    """
    if quiet:
        return contextlib.nullcontext()
    began = time.monotonic()

    def look() -> Now:
        from pipeline.command import progress  # short work never needs it

        return progress.of_work(work, unit, began)

    return notices.telling(work.about or work.step, look)


def run(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and ends the process with its exit code.

    Args:
        main: The command.
        arguments: The command's; if not given, those of the process.
    """
    try:
        code = main(sys.argv[1:] if arguments is None else arguments)
    except SystemExit as stopped:  # argparse's
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError):  # it is closed
            try:
                stream.flush()
            except OSError as problem:
                _drop(stream, problem)
    signals.leave(code, at_once=not imports.is_plain())


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and names an unknown option first.

    Where `--ouput` is given, "--output is missing" does not help.
    """

    # Returns the options that others parse; None if nobody knows them all.
    more_options: Callable[[], Iterable[str]] | None = None

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses; remembers the arguments for `error`."""
        self._given = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit code 2 and a sentence."""
        self.refuse(self.unknown_option() or message)

    def refuse(self, message: str) -> NoReturn:
        """Prints the sentence and ends the program."""
        self.exit(USAGE, f"{self.prog}: error: {message}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        notices.wipe()
        # Its reader may have gone away; Python 3.10 does not pass over that.
        with contextlib.suppress(OSError):
            super()._print_message(message, file)

    def unknown_option(self) -> str | None:
        """Returns a sentence on the first option given that nobody knows; None if there is none."""
        if self.more_options is None:
            return None
        known = [*self._option_string_actions, *self.more_options()]
        names = [text.partition("=")[0] for text in self._given if text.startswith("--")]
        unknown = [name for name in names if name not in known and name != "--"]
        return f"unknown option {unknown[0]}; {self.nearest(unknown[0])}" if unknown else None

    def nearest(self, name: str) -> str:
        """Returns the question whether another option was meant, or where they all are."""
        own = list(self._option_string_actions)
        return meant(name, own) or meant(name, [*(self.more_options or list)()]) or "see --help"


def meant(name: str, known: Iterable[str]) -> str | None:
    """Returns the question whether the most similar of the known names was meant, if one is."""
    import difflib  # only for those who mistype

    found = difflib.get_close_matches(name, known, 1, cutoff=0.75)
    return f"did you mean {found[0]}?" if found else None


def _drop(stream: TextIO, problem: OSError) -> None:
    """Redirects a stream to nowhere, and says why, unless its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    if stream is sys.stdout and not isinstance(problem, BrokenPipeError):
        say(f"eventsift: standard output is lost: {problem.strerror}", error=True)


def one_line(text: str) -> str:
    """Returns a text of somebody else's in one line that does nothing to a terminal."""
    return storage.shown(" ".join(text.split()))
