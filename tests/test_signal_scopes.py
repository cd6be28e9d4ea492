"""What is done before a signal ends this process, without a process that ends."""

import itertools
import os
import signal
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
