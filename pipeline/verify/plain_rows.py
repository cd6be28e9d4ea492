"""What becomes of one record, in the slow and plain way: nothing of the job's code is used.

docs/formats.md has the rules in words. Sizes are those of a run with its default options.
"""

import datetime
import functools
import json
import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn, TypeAlias

import xxhash

FIELDS = ("event_id", "timestamp", "domain", "event_type")

# Where each field of an event is in a record: the names of members, from the outside inwards. The
# path of the whole record, for data only, is empty.
Fields: TypeAlias = Mapping[str, tuple[str, ...]]
OWN_NAMES: Fields = {field: (field,) for field in (*FIELDS, "data")}

_MOST_LEVELS = 500
MOST_BYTES = 16 << 20
_MOST_NAME_BYTES = 255  # of a folder, such as domain=account


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
# No number is too large for a float, while Python refuses integers of more than 4,300 digits.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=float)


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        event_id: Its event_id.
        micros: Its instant in microseconds since 1970.
        nanos: The nanoseconds beyond them.
        data: Its payload as delivered.
        extra: The unknown members as a JSON object, sorted by name; None if there are none.
        domain: Its domain.
        event_type: Its event type.
    """

    event_id: str
    micros: int
    nanos: int
    data: str
    extra: str | None
    domain: str
    event_type: str

    def hash(self) -> int:
        """Returns the hash of the row, of which a table's digest is the sum; see `check`."""
        members = [
            self.event_id, self.micros, self.nanos, self.domain, self.event_type, self.data,
            self.extra,
        ]  # fmt: skip
        return xxhash.xxh3_128_intdigest(_ENCODER.encode(members).encode())


def digest(row: Row) -> int:
    """Returns what decides between two versions of one microsecond: the greater one is the latest.

    The nanoseconds, then 53 bits of a hash of all but event_id and timestamp.
    """
    rest = [row.domain, row.event_type, row.extra]
    seed = xxhash.xxh3_64_intdigest(_ENCODER.encode(rest).encode())
    return row.nanos << 53 | xxhash.xxh3_64_intdigest(row.data.encode(), seed) >> 11


def fields_of(text: str) -> Fields:
    """Returns where the fields are by a map as a table keeps it; docs/formats.md describes it."""
    entries = (entry.partition("=") for entry in _pieces(text, ","))
    return {**OWN_NAMES, **{field: _path(path) for field, _, path in entries}}


def _path(text: str) -> tuple[str, ...]:
    return tuple(_ESCAPED.sub(r"\1", name) for name in _pieces(text, "."))


_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _pieces(text: str, mark: str) -> list[str]:
    """Splits a text at a mark, unless a backslash stands before it; no piece is empty."""
    return re.findall(rf"(?:[^\\{mark}]|\\.)+", text, re.DOTALL)


def row_of(raw: bytes, fields: Fields = OWN_NAMES) -> Row | None:
    """Returns the row that a record becomes; None if it must be rejected.

    Args:
        raw: The record's bytes.
        fields: Where its fields are.
    """
    try:
        text = raw.decode()
        document = _DECODER.decode(text)
        if b"\\ud" in raw or b"\\uD" in raw:
            _ENCODER.encode(document).encode()  # refuses half a surrogate pair
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    found: dict[str, str] = {}
    unknown = _take(text, fields, found)
    if not fields["data"]:
        found["data"], unknown = text.strip(" \t\r\n"), {}
    if not fields.keys() <= found.keys():
        return None
    texts = {field: _value_at(document, fields[field]) for field in FIELDS}
    if not all(isinstance(value, str) and value for value in texts.values()):
        return None
    when = instant(texts["timestamp"])
    names = {"domain": texts["domain"], "event_type": texts["event_type"]}
    if when is None or not all(_fits(*name) for name in names.items()):
        return None
    data = found["data"]
    if len(raw) > _MOST_LEVELS and any(map(_too_deep, [data, *unknown.values()])):
        return None
    extra = _object(unknown) if unknown else None
    if len(raw) > MOST_BYTES and len(data.encode()) + len((extra or "").encode()) > MOST_BYTES:
        return None
    return Row(texts["event_id"], *when, data, extra, **names)


def _value_at(document: Any, path: tuple[str, ...]) -> Any:
    return functools.reduce(operator.getitem, path, document)


def _take(text: str, fields: Fields, found: dict[str, str]) -> dict[str, str]:
    """Takes the values of fields out of an object; returns the members that are left, with values.

    Args:
        text: The object as delivered.
        fields: Where in it the fields are.
        found: Is given the values, as delivered.
    """
    inside: dict[str, dict[str, tuple[str, ...]]] = {}  # the fields in each member
    for field, path in fields.items():
        if path:
            inside.setdefault(path[0], {})[field] = path[1:]
    left: dict[str, str] = {}
    for name, value in dict(_members(text)).items():
        if name not in inside:
            left[name] = value
            continue
        here = [field for field, path in inside[name].items() if not path]
        found.update(dict.fromkeys(here, value))
        if len(here) < len(inside[name]) and value.startswith("{"):
            rest = _take(value, inside[name], found)
            if rest and not here:
                left[name] = _object(rest)
    return left


def _object(members: Mapping[str, str]) -> str:
    """Returns members as an object, sorted by name."""
    pairs = (f"{_ENCODER.encode(name)}:{members[name]}" for name in sorted(members))
    return f"{{{','.join(pairs)}}}"


_SPACE = re.compile(r"[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")


def _members(text: str) -> Iterator[tuple[str, str]]:
    """Yields the names in an object, and the text of each value as it was delivered."""
    scan = _DECODER.raw_decode
    at = _after(_SPACE, text, text.index("{") + 1)
    while text[at] != "}":
        key, at = scan(text, at)
        at = _after(_COLON, text, at)
        _, end = scan(text, at)
        yield key, text[at:end]
        at = _after(_COMMA, text, end)


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')


def _too_deep(value: str) -> bool:
    """Tells whether a value is nested deeper than a table keeps."""
    if value.count("[") + value.count("{") <= _MOST_LEVELS:
        return False
    level = deepest = 0
    for token in _TOKENS.findall(value):
        level += (token in "[{") - (token in "]}")
        deepest = max(deepest, level)
    return deepest > _MOST_LEVELS


_ENCODED = re.compile(rb"[^a-z0-9\-_.]")


@functools.lru_cache(1 << 12)
def _fits(field: str, value: str) -> bool:
    """Tells whether a domain or event type fits the name of its folder, where it is encoded."""
    encoded = len(value.encode()) + 2 * len(_ENCODED.findall(value.encode()))
    encoded += 2 * (value == "null" or value.startswith("__")) + 2 * value.endswith(".")
    return len(f"{field}=") + encoded <= _MOST_NAME_BYTES


_EPOCH = datetime.datetime(1970, 1, 1)
_FIRST_NANOS = -62_135_596_800 * 10**9  # 0001-01-01T00:00:00Z
_END_NANOS = 253_402_300_800 * 10**9  # after 9999-12-31T23:59:59.999999999Z
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:[.,]([0-9]+))?(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


def instant(text: str) -> tuple[int, int] | None:
    """Returns microseconds since 1970 and the nanoseconds beyond; None if the text is refused."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    *date_time, fraction, sign, offset_hours, offset_minutes = found.groups()
    year, *rest = map(int, date_time)
    hours, minutes = int(offset_hours or 0), int(offset_minutes or 0)
    if hours > 23 or minutes > 59:
        return None
    # Python has no year 0, and no instant near its ends survives an offset. The calendar repeats
    # every 400 years of 146,097 days, so the sum is done in the years 2000 to 2399.
    cycles = year // 400 - 5
    try:
        local = datetime.datetime(year - cycles * 400, *rest)  # type: ignore[arg-type]
    except ValueError:
        return None
    offset = datetime.timedelta(hours=hours, minutes=minutes)
    utc = local + offset if sign == "-" else local - offset
    seconds = (utc - _EPOCH) // datetime.timedelta(seconds=1) + cycles * 146_097 * 86_400
    nanos = seconds * 10**9 + int((fraction or "")[:9].ljust(9, "0"))
    if not _FIRST_NANOS <= nanos < _END_NANOS:
        return None
    return divmod(nanos, 1000)
