"""Presets: which deliveries have a name, and how the events of each are spread."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """What a name stands for.

    Attributes:
        meaning: What such a delivery is like, for the help.
        defaults: The options that differ from those of `Options`.
        weights: How often kinds occur, where that differs from the weights in `kinds`.
        popular: Whether a few merchants have most of the events.
        hours: How busy each hour of the day is; empty if all are alike. Events keep an hour's
            distance from midnight, so the first and the last hour have none.
    """

    meaning: str
    defaults: Mapping[str, Any] = MappingProxyType({})
    weights: Mapping[tuple[str, str], int] = MappingProxyType({})
    popular: bool = False
    hours: tuple[int, ...] = ()


PRESETS = {
    "classic": Preset("the exercise: accounts that change their status, and 13 other types"),
    "payments": Preset(
        "most events are payments, most of them at a few merchants, at noon and in the evening",
        weights={
            ("transaction", "authorized"): 500,
            ("transaction", "settled"): 300,
            ("transaction", "declined"): 80,
            ("transaction", "reversed"): 20,
            ("account", "balance-update"): 50,
        },
        popular=True,
        hours=(
            0, 2, 1, 1, 1, 2, 5, 10, 14, 16, 20, 28,
            36, 30, 22, 20, 22, 28, 36, 34, 24, 14, 6, 0,
        ),
    ),
    "hostile": Preset(
        "6 % broken, 0.5 % in each of the 12 ways; 40 % duplicates, of which 20 % are copies, 10 %"
        " ties, 20 % on another day, 20 % of another type and 30 % late; 20 % with unknown fields;"
        " 10 % with an awkward payload",
        defaults={
            "duplicates": 0.40,
            "exact_copies": 0.20,
            "ties": 0.10,
            "other_day": 0.20,
            "other_type": 0.20,
            "late": 0.30,
            "extra": 0.20,
            "broken": 0.06,
            "awkward": 0.10,
        },
    ),
}  # fmt: skip
