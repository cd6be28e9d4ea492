"""How the page writes what it shows: names that others chose, dates, shares."""

import datetime
from collections.abc import Sequence

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# Long enough for every name that people choose, and no table gets as wide as a page for the others.
NAME_LIMIT, TEXT_LIMIT = 60, 240
# What keeps a text of any direction from turning its neighbours around (Unicode, UAX #9).
_ISOLATE, _END = "\u2068", "\u2069"


def visible(text: str, limit: int = TEXT_LIMIT) -> str:
    r"""Returns a text in one line in which every character shows, cut where it is too long.

    What does not show, or turns other characters around, is written as Python writes it: ``\n``,
    ``\u202e``.
    """
    shown = "".join(map(_shown, text[: limit + 1]))
    return shown if len(shown) <= limit and len(text) <= limit else f"{shown[: limit - 1]}…"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def name(kind: Sequence[str]) -> tuple[str, ...]:
    """Returns the parts of a type's name, domain and event type, as the page shows them."""
    return tuple(visible(part, NAME_LIMIT) for part in kind)


def isolated(parts: Sequence[str]) -> str:
    """Returns a name in one text, for where no ``<bdi>`` can stand.

    Each part keeps its direction to itself.
    """
    return " / ".join(f"{_ISOLATE}{part}{_END}" for part in parts)


def share(part: float, whole: float) -> str:
    """Returns a share in per cent: "0 %", "less than 0.1 %", "2.4 %", "38 %"."""
    if not part or not whole:
        return "0 %"
    value = 100 * part / whole
    if value < 0.1:
        return "less than 0.1 %"
    return f"{value:.1f} %" if value < 9.95 else f"{value:.0f} %"


def date(day: datetime.date) -> str:
    """Returns a date: "8 Jan 2021"."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year:04d}"


def month(day: datetime.date) -> str:
    """Returns the month of a date: "Jan 2021"."""
    return f"{_MONTHS[day.month - 1]} {day.year:04d}"


def instant(moment: datetime.datetime) -> str:
    """Returns a moment to the minute: "8 Jan 2021, 10:15 UTC"."""
    return f"{date(moment.date())}, {moment:%H:%M} UTC"


def began(run_id: str) -> str:
    """Returns when a run began, as its id says; the id itself if it does not."""
    try:
        moment = datetime.datetime.strptime(run_id[:15], "%Y%m%dT%H%M%S")
    except ValueError:
        return visible(run_id, NAME_LIMIT)
    return instant(moment)


def listed(parts: Sequence[str]) -> str:
    """Returns the parts of a sentence as a list: "a, b and c"."""
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), *parts[-1:]])
