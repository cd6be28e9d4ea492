"""Destinations and partitions: which directory of the table an event belongs to.

The layout is Hive's, which every reader of Parquet directories knows:

    domain=account/event_type=status-change/year=2021/month=01/day=08

Values are percent-encoded as Hive, Spark and Delta do, but more of them: a value can neither
leave its directory nor share one with another value, on no file system and in no reader.

    >>> directory(Destination("Shop/EU", "sale", 2021, 1, 8))
    'domain=%53hop%2F%45%55/event_type=sale/year=2021/month=01/day=08'
"""

import datetime
import functools
from typing import NamedTuple, TypeVar
from urllib.parse import unquote

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from pipeline.errors import shown

# One component of a path on ext4, XFS, APFS, NTFS and HDFS.
NAME_BYTES_LIMIT = 255

# Kept as they are. Capitals are not: on the file systems of most laptops A and a are one name.
# Nor is anything outside ASCII: these file systems also hold the two spellings of é for one.
_KEPT = b"abcdefghijklmnopqrstuvwxyz0123456789-_."
_ENCODED = [chr(byte) if byte in _KEPT else f"%{byte:02X}" for byte in range(256)]

DAY_MICROS = 86_400_000_000
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
# A day's microseconds take 37 bits, so a position takes 63.
SPREAD_BITS = 26

# Below this many possible destinations a row, a table of all of them is cheaper than a sort.
_TABLE_ENTRIES_PER_ROW = 16

_Instants = TypeVar("_Instants", int, npt.NDArray[np.int64])


class Destination(NamedTuple):
    """Where an event belongs; the day is the one of its timestamp in UTC. Sorts by its fields."""

    domain: str
    event_type: str
    year: int
    month: int
    day: int


PARTITION_COLUMNS = Destination._fields
PARTITION_SCHEMA = pa.schema(
    [
        ("domain", pa.string()),
        ("event_type", pa.string()),
        ("year", pa.int32()),
        ("month", pa.int32()),
        ("day", pa.int32()),
    ]
)


@functools.lru_cache(maxsize=1 << 12)
def encode(value: str) -> str:
    """Percent-encodes the UTF-8 bytes of a value, for the name of a directory.

    Only a-z, 0-9, `-`, `_` and `.` stay as they are, so two values never get names that a file
    system could take for the same, and no name has a separator, a wildcard or a control character.
    Three more bytes are encoded where they would be misread:

    - the first of two underscores at the start, as in `__HIVE_DEFAULT_PARTITION__`, Hive's null;
    - the n of `null`, which DuckDB before 2.0 reads as null;
    - a dot at the end, which Windows drops.

    Args:
        value: Any text; it need not fit a name, see `check`.

    Returns:
        ASCII text, from which `decode` gives the value back.

    Raises:
        UnicodeEncodeError: The value has lone surrogates (an Arrow string cannot).
    """
    name = "".join([_ENCODED[byte] for byte in value.encode()])
    if value == "null" or value.startswith("__"):
        name = f"%{ord(value[0]):02X}{name[1:]}"
    if value.endswith("."):
        name = f"{name[:-1]}%2E"
    return name


def decode(name: str) -> str:
    """Gives back the value that `encode` was given.

    Args:
        name: What follows the `=` in a directory's name.

    Raises:
        UnicodeDecodeError: The encoded bytes are not UTF-8, so `encode` has not made this.
    """
    return unquote(name, errors="strict")


def check(name: str, value: str) -> str | None:
    """Says why a value cannot be a partition value.

    Args:
        name: The column, `domain` or `event_type`.
        value: Its value in an event.

    Returns:
        A sentence for people that shows the value (shortened if long), or None if it fits.
    """
    size, limit = len(encode(value)), NAME_BYTES_LIMIT - len(f"{name}=")
    if size <= limit:
        return None
    return (
        f"{name} {shown(value)}: it would take {size} bytes in the name of its directory, "
        f"where each byte other than a-z 0-9 - _ . takes three, and the limit is {limit}: "
        f"file systems allow {NAME_BYTES_LIMIT} bytes, '{name}=' included"
    )


def directory(destination: Destination) -> str:
    """Returns the partition of a destination: its directory, relative to the table, with `/`."""
    domain, event_type, year, month, day = destination
    return (
        f"domain={encode(domain)}/event_type={encode(event_type)}"
        f"/year={year:04d}/month={month:02d}/day={day:02d}"
    )


@functools.lru_cache(maxsize=1 << 14)
def hash_of(destination: tuple[str, str, int, int, int]) -> int:
    """Returns 64 bits that stand for the fields of a destination: the same on every machine."""
    return xxhash.xxh3_64_intdigest(msgspec.json.encode(destination))


def shard_of(destination: Destination, shards: int) -> int:
    """Returns the shard in which a destination is written, unless it is too large for one."""
    return hash_of(destination) % shards


def position(micros: _Instants, spread: _Instants) -> _Instants:
    """Returns where in its destination something begins; large destinations are cut by it.

    Args:
        micros: An instant in microseconds since 1970, or an array of them.
        spread: A number of `SPREAD_BITS` bits for each, which tells apart what lies at one instant.
    """
    return (micros % DAY_MICROS << SPREAD_BITS) | spread


def instant(destination: Destination, position: int) -> int:
    """Returns when something begins, in microseconds since 1970; see `position`."""
    day = day_number(*destination[2:]) - _EPOCH_DAY
    return day * DAY_MICROS + (position >> SPREAD_BITS)


def day_number(year: int, month: int, day: int) -> int:
    """Returns a day as a number; the difference of two is their distance in days."""
    return datetime.date(year, month, day).toordinal()


def partition_values(destination: Destination) -> dict[str, str]:
    """Returns the values of the partition columns as a Delta log has them: all as plain text.

    Unlike in the directory nothing is encoded or padded (Delta protocol, "Partition Value
    Serialization"). The protocol reads an empty string as null, so events with an empty domain or
    event_type must be refused before.
    """
    return {name: str(value) for name, value in zip(PARTITION_COLUMNS, destination, strict=True)}


def group(
    domain: pa.Array, event_type: pa.Array, micros: npt.NDArray[np.int64]
) -> tuple[list[Destination], npt.NDArray[np.int32]]:
    """Finds the destinations of n events.

    Args:
        domain: n strings, plain or dictionary-encoded, without nulls.
        event_type: The same.
        micros: n instants in microseconds since 1970-01-01T00:00:00Z, within the years 1 to 9999.

    Returns:
        The distinct destinations in their order, and for each event its index in them; shape (n,).
    """
    if len(micros) == 0:
        return [], np.empty(0, np.int32)
    domains, domain_codes = _codes(domain)
    event_types, event_type_codes = _codes(event_type)
    days = micros // DAY_MICROS  # floors, also before 1970
    first = int(days.min())
    span = int(days.max()) - first + 1
    # One number for each destination, which sorts as the destination does. Even a million domains
    # with a million event types on every day of 9999 years fit in 63 bits.
    keys = (domain_codes * len(event_types) + event_type_codes) * span + (days - first)
    possible = len(domains) * len(event_types) * span
    if possible <= _TABLE_ENTRIES_PER_ROW * len(keys):
        occurs = np.zeros(possible, np.bool_)
        occurs[keys] = True
        distinct = np.flatnonzero(occurs)
        code_of = np.empty(possible, np.int32)
        code_of[distinct] = np.arange(distinct.size, dtype=np.int32)
        codes = code_of[keys]
    else:
        distinct, inverse = np.unique(keys, return_inverse=True)
        codes = inverse.astype(np.int32)
    destinations = []
    for key in distinct.tolist():
        pair, day = divmod(key, span)
        domain_code, event_type_code = divmod(pair, len(event_types))
        date = datetime.date.fromordinal(_EPOCH_DAY + first + day)
        destinations.append(
            Destination(
                domains[domain_code],
                event_types[event_type_code],
                date.year,
                date.month,
                date.day,
            )
        )
    return destinations, codes


def _codes(column: pa.Array) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Returns the values of a string column in order, and for each row its index in them."""
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    dictionary = column.dictionary.to_pylist()
    values = sorted(set(dictionary))  # a dictionary that was given may repeat a value
    rank = {value: code for code, value in enumerate(values)}
    ranks = np.array([rank[value] for value in dictionary], np.int64)
    return values, ranks[column.indices.to_numpy(zero_copy_only=False)]
