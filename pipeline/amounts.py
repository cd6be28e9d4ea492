"""Amounts as people read them: counts with their nouns, bytes, times."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_SPANS = ((86_400, "d", "h"), (3600, "h", "min"), (60, "min", "s"))
_SMALLER = {"d": 3600, "h": 60, "min": 1}


def noun(number: int, one: str) -> str:
    """Returns what so many things are called, given what one is called: "file" or "files"."""
    return one if number == 1 else f"{one}s"


def counted(number: int, one: str) -> str:
    """Returns a number with its noun: "1 file", "2,000 files"."""
    return f"{number:,} {noun(number, one)}"


def size(number: float) -> str:
    """Returns a number of bytes with three digits: "999 bytes", "54.3 MB" (a million bytes)."""
    scale = 0
    # What would be rounded to 1,000 takes the next unit.
    while number >= (1000 if not scale else 999.5) and scale < len(_UNITS) - 1:
        number, scale = number / 1000, scale + 1
    if not scale:
        return counted(int(number), "byte")
    decimals = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:.{decimals}f} {_UNITS[scale]}"


def duration(seconds: float) -> str:
    """Returns a time with its two largest units: "0.4 s", "12 s", "3 min 5 s", "2 d 4 h"."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for length, unit, smaller in _SPANS:
        if whole >= length:
            rest = whole % length // _SMALLER[unit]
            return f"{whole // length:,} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"
