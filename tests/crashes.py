"""Runs that die in this process, as if they had been killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from pipeline.bookkeeping import recovery


class Killed(BaseException):
    """Ends a run as a kill would: nobody clears up."""


@contextmanager
def killed_at(module: ModuleType, function: str) -> Iterator[None]:
    """Within the ``with`` block a run dies where it calls a function, and nobody clears up."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, function, die)
        patch.setattr(recovery, "abandon", die)  # Beam makes an error of it
        yield
