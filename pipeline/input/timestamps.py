"""Parses timestamps: from the text in an event to an instant, a whole column at a time.

The grammar is the part of ISO 8601 and RFC 3339 that names one instant:

    YYYY-MM-DD  T | t | one space  hh:mm:ss  [. or , digits]  [Z | z | ±hh:mm | ±hhmm | ±hh]

The whole text must match, in ASCII. No zone means UTC. Digits after the ninth of the fraction
are cut off. Dates are checked against the Gregorian calendar; the leap second 60 is refused,
because neither Arrow nor Parquet has an instant for it. The instant, after the offset is applied,
must lie in the years 0001 to 9999, which is what every reader of the table can show.

A change of the grammar is made twice: in `parse`, and in `_FORM` and `_broken_rule`, which say for
people what is wrong. Tests compare both with a third, naive parser.

    >>> parsed = parse(pa.array(["1970-01-01T01:00:00.0000015+01:00", "yesterday"]))
    >>> parsed.valid
    array([ True, False])
    >>> parsed.micros[0], parsed.nanos[0]
    (np.int64(1), np.int16(500))
"""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import shown

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_DATE_TIME_BYTES = 19  # YYYY-MM-DDThh:mm:ss
_FRACTION_DIGITS = 9  # down to the nanosecond
_ZONE_BYTES = 6  # the longest one, ±hh:mm

# Where the numbers of two digits begin: century, year in it, month, day, hour, minute, second.
_PAIRS = (0, 2, 5, 8, 11, 14, 17)
_PUNCTUATION = ((4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":"))

# Days since 1970-01-01 of the first of every month from 0000-01 to 10000-01: one look-up instead
# of calendar arithmetic, and the next entry tells where the month ends. Year 0 is included, since
# 0000-12-31T23:00:00-02:00 is an instant of the year 1.
_MONTH_STARTS = (
    np.arange(-1970 * 12, 8030 * 12 + 1).astype("M8[M]").astype("M8[D]").astype(np.int64)
)
_FIRST_SECOND = -62_135_596_800  # 0001-01-01T00:00:00Z
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z

_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"([Tt ](\d\d):(\d\d):(\d\d)([.,]\d+)?([Zz]|[+-](\d\d):?(\d\d)|[+-](\d\d))?)?",
    re.ASCII,
)


class Parsed(NamedTuple):
    """The instants of n texts. Where `valid` is false, the other two have no meaning.

    Attributes:
        micros: Whole microseconds since 1970-01-01T00:00:00Z, rounded towards the past; shape (n,).
        nanos: Nanoseconds after that microsecond, 0 to 999; shape (n,).
        valid: Whether the text follows the grammar; shape (n,).
    """

    micros: npt.NDArray[np.int64]
    nanos: npt.NDArray[np.int16]
    valid: npt.NDArray[np.bool_]


def parse(texts: pa.StringArray) -> Parsed:
    """Parses timestamps in any mix of the forms above.

    Args:
        texts: n strings without nulls; it may be a slice of a larger array.

    Returns:
        n instants. A text that breaks a rule is marked in `valid`; nothing is raised for it.
    """
    n = len(texts)
    if n == 0:  # an empty array may come without buffers
        return Parsed(np.empty(0, np.int64), np.empty(0, np.int16), np.empty(0, np.bool_))
    text, starts, ends = _bytes(texts)
    seconds, are_date_times = _date_times(text, starts)
    zone_bytes, offsets, are_zones = _zones(text, ends)
    nanos, are_fractions = _fractions(text, starts + _DATE_TIME_BYTES, ends - zone_bytes)
    seconds -= offsets
    is_in_range = (seconds >= _FIRST_SECOND) & (seconds <= _LAST_SECOND)
    # The fraction counts forward before 1970 too, so this rounds towards the past there as well.
    below = nanos // 1_000
    return Parsed(
        micros=seconds * 1_000_000 + below,
        nanos=(nanos - below * 1_000).astype(np.int16),
        valid=are_date_times & are_zones & are_fractions & is_in_range,
    )


def _date_times(text: Bytes, starts: Places) -> tuple[Places, Flags]:
    """Parses YYYY-MM-DDThh:mm:ss: seconds since 1970 in local time, and whether they are valid."""

    def column(k: int) -> Bytes:
        return text[k:][starts]  # the k-th byte of every text; cheaper than text[starts + k]

    # One byte a number, so that a column of 100,000 stays in the cache. A character that is no
    # digit wraps round to more than 9; the sums below may overflow in such rows, which are invalid.
    tens = np.stack([column(k) for k in _PAIRS]) - ord("0")
    units = np.stack([column(k + 1) for k in _PAIRS]) - ord("0")
    valid = (tens.max(axis=0) <= 9) & (units.max(axis=0) <= 9)
    for k, allowed in _PUNCTUATION:
        valid &= _is_one_of(column(k), allowed)
    century, year, month, day, hour, minute, second = tens * 10 + units
    valid &= (month >= 1) & (month <= 12) & (hour <= 23) & (minute <= 59) & (second <= 59)
    months = (century.astype(np.int64) * 100 + year) * 12 + month - 1
    days = _MONTH_STARTS.take(months, mode="clip") + day - 1
    valid &= (day >= 1) & (days < _MONTH_STARTS.take(months + 1, mode="clip"))
    return days * 86_400 + (hour.astype(np.int64) * 60 + minute) * 60 + second, valid


def _zones(text: Bytes, ends: Places) -> tuple[Places, Places, Flags]:
    """Parses the zones at the ends: bytes, seconds ahead of UTC, and whether they are valid."""
    valid = np.ones(len(ends), np.bool_)
    offsets = np.zeros(len(ends), np.int64)
    zone_bytes = np.zeros(len(ends), np.int64)
    for length in (3, 5, 6):
        zone_bytes[_is_one_of(text[ends - length], b"+-")] = length
    zone_bytes[(zone_bytes == 6) & (text[ends - 3] != ord(":"))] = 0
    zone_bytes[_is_one_of(text[ends - 1], b"Zz")] = 1
    rows = np.flatnonzero(zone_bytes > 1)
    if rows.size:
        end, sign = ends[rows], ends[rows] - zone_bytes[rows]
        h1, h2, m1, m2 = (text[i] - ord("0") for i in (sign + 1, sign + 2, end - 2, end - 1))
        has_minutes = zone_bytes[rows] > 3
        m1, m2 = m1 * has_minutes, m2 * has_minutes
        valid[rows] = (h1 <= 2) & (h2 <= 9) & (h1 * 10 + h2 <= 23) & (m1 <= 5) & (m2 <= 9)
        ahead = ((h1 * 10 + h2).astype(np.int64) * 60 + m1 * 10 + m2) * 60
        offsets[rows] = np.where(text[sign] == ord("+"), ahead, -ahead)
    return zone_bytes, offsets, valid


def _fractions(text: Bytes, starts: Places, ends: Places) -> tuple[npt.NDArray[np.int32], Flags]:
    """Parses what lies between seconds and zone: nanoseconds, and whether they are valid."""
    digits = ends - starts - 1  # -1: there is no fraction
    valid = (digits == -1) | ((digits >= 1) & _is_one_of(text[starts], b".,"))
    nanos = np.zeros(len(starts), np.int32)
    for k in range(min(_FRACTION_DIGITS, int(digits.max()))):
        digit = (text[1 + k :][starts] - ord("0")) * (digits > k)  # 0 past the last
        valid &= digit <= 9
        nanos += np.multiply(digit, 10 ** (_FRACTION_DIGITS - 1 - k), dtype=np.int32)
    rows = np.flatnonzero(valid & (digits > _FRACTION_DIGITS))
    if rows.size:  # what is cut off must be digits, too
        edges = np.stack([starts + 1 + _FRACTION_DIGITS, ends], axis=1)[rows].ravel()
        valid[rows] = np.maximum.reduceat(text - ord("0"), edges)[::2] <= 9
    return nanos, valid


def _bytes(texts: pa.StringArray) -> tuple[Bytes, Places, Places]:
    """Returns the bytes of all texts, and where each text starts and ends in them.

    Zeros are put around them, so that `parse` can read every byte that it needs, also for a text
    that is too short. (It reads the neighbours' bytes then, but the text's length is invalid.)
    """
    _, offsets, content = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    text = np.frombuffer(content, np.uint8)[bounds[0] : bounds[-1]]
    after = _DATE_TIME_BYTES + 1 + _FRACTION_DIGITS
    text = np.concatenate([np.zeros(_ZONE_BYTES, np.uint8), text, np.zeros(after, np.uint8)])
    bounds = bounds.astype(np.int64) - bounds[0] + _ZONE_BYTES
    return text, bounds[:-1], bounds[1:]


def _is_one_of(column: Bytes, allowed: bytes) -> Flags:
    """Tells for each byte whether it is one of the allowed ones."""
    found = column == allowed[0]
    for byte in allowed[1:]:
        found |= column == byte
    return found


def explain(text: str) -> str:
    """Says for people why a timestamp was refused.

    Args:
        text: A text that `parse` marked invalid.

    Returns:
        The text (shortened if long), the first rule it breaks, and an example of a good one.
    """
    example = "2021-01-08T10:00:00.123Z"
    return f"timestamp {shown(text)}: {_broken_rule(text)}; expected ISO 8601 like {example}"


def _broken_rule(text: str) -> str:
    """Returns the first rule that a timestamp breaks; as `parse`, but for one text."""
    form = _FORM.fullmatch(text)
    if form is None:
        return "not of the form YYYY-MM-DDThh:mm:ss, with an optional fraction and zone"
    if form[4] is None:
        return "the time of day is missing"
    year, month, day, hour, minute, second = (int(form[i]) for i in (1, 2, 3, 5, 6, 7))
    if not 1 <= month <= 12:
        return "month is not in 01 to 12"
    start, end = _MONTH_STARTS[year * 12 + month - 1 :][:2]
    if not 1 <= day <= end - start:
        return "day is out of range for month"
    if hour > 23:
        return "hour is not in 00 to 23"
    if minute > 59:
        return "minute is not in 00 to 59"
    if second > 59:
        return "second is not in 00 to 59 (leap seconds are not supported)"
    if int(form[10] or form[12] or 0) > 23 or int(form[11] or 0) > 59:
        return "offset from UTC is not in -23:59 to +23:59"
    if not parse(pa.array([text])).valid[0]:
        return "the instant is not in the years 0001 to 9999 (UTC)"
    return "no rule is broken"
