"""What is done before a signal ends this process, without a process that ends."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from pipeline import signals


class TestScopes:
    @pytest.fixture
    def ends(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """What was done, in order; the end is not really one."""
        done: list[object] = []
        monkeypatch.setattr(signals, "die", done.append)
        monkeypatch.setattr(os, "write", lambda _, text: done.append(text.decode()))
        monkeypatch.setattr(signals, "_ending_since", 0.0)
        return done

    def test_actions_run_backwards_and_failures_stop_none(self, ends: list[object]) -> None:
        """What was entered last is undone first, whatever happens to it."""

        def fail(_: int) -> None:
            raise OSError

        said: Callable[[str], Callable[[int], object]] = lambda text: lambda _: ends.append(text)  # noqa: E731
        with (
            signals.before_ending(said("outer")),
            signals.before_ending(fail),
            signals.before_ending(said("inner")),
        ):
            signals._end(signal.SIGTERM)

        assert ends == ["eventsift: terminated\n", "inner", "outer", signal.SIGTERM]

    def test_the_last_word_is_for_where_nothing_has_begun(
        self, ends: list[object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Within a scope the scope knows better."""
        monkeypatch.setattr(signals, "_last_word", "Nothing.")
        signals._end(signal.SIGINT)
        with signals.before_ending(lambda _: None):
            signals._end(signal.SIGINT)
        assert ends == [
            "eventsift: interrupted\nNothing.\n",
            signal.SIGINT,
            "eventsift: interrupted\n",
            signal.SIGINT,
        ]

    def test_patience_notes_the_first_signal_and_answers_it(self) -> None:
        """An answer is given while there is something to finish."""
        answers = itertools.count()
        with signals.patience() as asked:
            asked.wait(0.0)
            assert asked.number == 0
            with asked.saying(lambda: next(answers)):
                asked.ask(signal.SIGTERM)
            asked.wait(60.0)
        assert asked.number == signal.SIGTERM
        assert next(answers) == 1


class TestTheEnd:
    """Of a command that has done its work."""

    def run(self, *lines: str) -> "subprocess.CompletedProcess[str]":
        """Runs a program that leaves with 3, in a process of its own."""
        program = ["import atexit, sys, threading", "from pipeline import signals", *lines]
        program.append("signals.leave(3, at_once=True)")
        return subprocess.run(
            [sys.executable, "-c", "\n".join(program)], capture_output=True, text=True, timeout=60
        )

    def test_at_once(self) -> None:
        """Memory is not freed piece by piece, but what is registered for the end runs.

        Seen to fail with `sys.exit`: the object was freed.
        """
        done = self.run(
            "class Held:",
            "    def __del__(self): sys.stderr.write('freed ')",
            "held = Held()",
            "atexit.register(sys.stderr.write, 'registered ')",
        )
        assert (done.returncode, done.stderr) == (3, "registered ")

    def test_work_of_other_threads_is_not_cut_off(self) -> None:
        """Python waits for them, so nothing is ended at once."""
        done = self.run(
            "threading.Timer(0.5, sys.stderr.write, ['written']).start()",
        )
        assert (done.returncode, done.stderr) == (3, "written")
