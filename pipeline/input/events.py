"""Makes one typed Arrow table of decoded events, with their digests."""

import itertools
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.errors import shown
from pipeline.input import decoding, records, timestamps
from pipeline.input.contracts import Checker
from pipeline.input.decoding import Decoded, Part, rows_of_sources
from pipeline.input.records import Event
from pipeline.input.rejects import Problem, Reject
from pipeline.keys import partitions

EVENT_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("nanos", pa.int16()),
        ("domain", pa.dictionary(pa.int32(), pa.string())),
        ("event_type", pa.dictionary(pa.int32(), pa.string())),
        ("data", pa.string()),
        ("extra", pa.string()),
        ("id_high", pa.uint64()),
        ("id_low", pa.uint64()),
        ("digest", pa.int64()),
        ("source_file", pa.dictionary(pa.int32(), pa.string())),
    ]
)

# Delta's timestamps have microseconds; the nanoseconds after them have a column of their own. They
# also are the upper bits of the digest, above a hash of everything else in the event: so comparing
# (timestamp, digest) compares instants to the nanosecond first.
_HASH_BITS = 53


def to_table(
    parts: Sequence[tuple[Part, Decoded]],
    max_event_bytes: int,
    id_seed: int,
    checker: Checker | None = None,
) -> tuple[pa.Table, list[Reject]]:
    """Makes one table of the events of decoded parts, and collects all rejects of these parts.

    Args:
        parts: Parts with what `decode` made of them.
        max_event_bytes: Limit on the bytes of `data` and `extra` together.
        id_seed: For `hash_ids`.
        checker: Checks their contracts, if there are any, and counts what is broken.

    Returns:
        A table of `EVENT_SCHEMA`, in the order delivered, and the rejects: the ones of decoding,
        and events whose timestamp, size, nesting, domain, event_type or contract breaks a rule.
    """
    events = [event for _, decoded in parts for event in decoded.events]
    rejects = [reject for _, decoded in parts for reject in decoded.rejects]
    extras: dict[int, str] = {}  # of all parts, by row
    first_rows = np.cumsum([0] + [len(decoded.events) for _, decoded in parts])
    for first, (_, decoded) in zip(first_rows, parts, strict=False):
        extras.update((int(first) + row, extra) for row, extra in decoded.extras.items())

    kinds = _Kinds()
    codes = [kinds[event.domain, event.event_type] for event in events]
    kind_codes = np.array(codes, np.int32)
    seeds = [kinds.seeds[code] for code in codes]
    for row, members in extras.items():
        seeds[row] = _seed(events[row].domain, events[row].event_type, members)
    payloads = [event.data for event in events]
    data = _binary(payloads)
    hashes = np.fromiter(map(xxhash.xxh3_64_intdigest, payloads, seeds), np.uint64, len(events))
    extra = _sparse(extras, len(events))
    texts = pa.array([event.timestamp for event in events], pa.string())
    instants = timestamps.parse(texts)

    errors = _errors(events, texts, instants.valid, data, extra, kinds, kind_codes, max_event_bytes)
    if checker:
        errors |= _breaches(checker, payloads, kinds, kind_codes, errors)
    rejects += _rejects_of_rows(errors, parts, first_rows)

    ids = [event.event_id for event in events]
    hashed = hash_ids(ids, id_seed)
    table = pa.Table.from_arrays(
        [
            pa.array(ids, pa.string()),
            pa.array(instants.micros).cast(pa.timestamp("us", "UTC")),
            pa.array(instants.nanos),
            kinds.column(0, kind_codes),
            kinds.column(1, kind_codes),
            data,
            extra,
            pa.array(hashed[0]),
            pa.array(hashed[1]),
            pa.array(_digests(instants.nanos, hashes)),
            _sources(parts),
        ],
        schema=EVENT_SCHEMA,
    )
    if errors:
        keep = np.ones(len(events), bool)
        keep[list(errors)] = False
        table = table.filter(pa.array(keep))
    return table, rejects


def _sources(parts: Sequence[tuple[Part, Decoded]]) -> pa.DictionaryArray:
    """Returns the file of each row; the rows of a file have one number, and lie side by side."""
    found = list(itertools.chain.from_iterable(itertools.starmap(rows_of_sources, parts)))
    numbers = {source: number for number, source in enumerate(dict.fromkeys(s for s, _ in found))}
    codes = np.repeat([numbers[source] for source, _ in found], [rows for _, rows in found])
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32)), pa.array(list(numbers), pa.string())
    )


def hash_ids(ids: Sequence[str], seed: int) -> npt.NDArray[np.uint64]:
    """Hashes n event_ids to 128 bits each (XXH3), the same on every machine; shape (2, n)."""
    encoded = map(str.encode, ids)
    hashes = b"".join(map(xxhash.xxh3_128_digest, encoded, itertools.repeat(seed)))
    return np.ascontiguousarray(np.frombuffer(hashes, "<u8").reshape(-1, 2).T)


def digest(rows: pa.Table, domain: str, event_type: str) -> npt.NDArray[np.int64]:
    """Returns the digests of n rows of one kind, from their nanos, data and extra; shape (n,)."""
    extras = rows["extra"].to_pylist()
    seeds = [_seed(domain, event_type, extra) for extra in extras]
    payloads = rows["data"].cast(pa.binary()).to_pylist()
    hashes = np.fromiter(map(xxhash.xxh3_64_intdigest, payloads, seeds), np.uint64, len(rows))
    return _digests(rows["nanos"].to_numpy(), hashes)


def _digests(nanos: npt.NDArray[np.int16], hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Puts nanoseconds (0 to 999) above the upper bits of the hash of the content."""
    upper = nanos.astype(np.int64) << _HASH_BITS
    return upper | (hashes >> np.uint64(64 - _HASH_BITS)).astype(np.int64)


def _seed(domain: str, event_type: str, extra: str | None) -> int:
    """Returns the seed for the hash of `data` (XXH3, 64 bits): a hash of the other fields."""
    return int(xxhash.xxh3_64_intdigest(msgspec.json.encode([domain, event_type, extra])))


class _Kinds(dict[tuple[str, str], int]):
    """The number of each (domain, event_type), in the order in which they are first met.

    Attributes:
        seeds: The digest's seed for each, by number, for events without extra fields.
    """

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __missing__(self, kind: tuple[str, str]) -> int:
        self.seeds.append(_seed(*kind, None))
        self[kind] = len(self)
        return self[kind]

    def column(self, field: int, codes: npt.NDArray[np.int32]) -> pa.DictionaryArray:
        """Returns the domain (field 0) or event_type (1) of each row, from the kind of each row."""
        values = pa.array([kind[field] for kind in self], pa.string()).dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            values.indices.take(pa.array(codes)), values.dictionary
        )


def _binary(payloads: Sequence[msgspec.Raw]) -> pa.StringArray:
    """Returns the payloads' bytes as one Arrow array, copied once."""
    offsets = np.zeros(len(payloads) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, payloads), np.int32, len(payloads)), out=offsets[1:])
    return pa.StringArray.from_buffers(
        len(payloads), pa.py_buffer(offsets), pa.py_buffer(b"".join(payloads))
    )


def _sparse(extras: dict[int, str], rows: int) -> pa.Array:
    """Returns a column of this many rows that has some values, by row, and else nulls."""
    if not extras:
        return pa.nulls(rows, pa.string())
    return pa.array([extras.get(row) for row in range(rows)], pa.string())


def _errors(
    events: Sequence[Event],
    texts: pa.StringArray,
    valid: npt.NDArray[np.bool_],
    data: pa.StringArray,
    extra: pa.StringArray,
    kinds: _Kinds,
    kind_codes: npt.NDArray[np.int32],
    max_event_bytes: int,
) -> dict[int, Problem]:
    """Returns what is wrong with well-formed events that break a rule, by row."""
    errors: dict[int, Problem] = {}
    for row in np.flatnonzero(~valid).tolist():
        errors[row] = Problem("bad-timestamp", timestamps.explain(texts[row].as_py()))
    sizes = pc.binary_length(data).to_numpy() + pc.binary_length(extra).fill_null(0).to_numpy()
    for row in np.flatnonzero(sizes > 2 * records.NESTING_LIMIT).tolist():
        # The object that contains the extra fields is a level of its own.
        if records.is_deeper(bytes(events[row].data), records.NESTING_LIMIT) or (
            extra[row].is_valid
            and records.is_deeper(extra[row].as_py().encode(), records.NESTING_LIMIT + 1)
        ):
            errors[row] = records.too_deep(f"event {shown(events[row].event_id)}")
    for row in np.flatnonzero(sizes > max_event_bytes).tolist():
        errors[row] = Problem(
            "too-large",
            f"event {shown(events[row].event_id)} has {sizes[row]:,} bytes of data and extra"
            f" fields, the limit is {max_event_bytes:,}; raise it with --max-event-mb",
        )
    for code, (domain, event_type) in enumerate(kinds):
        problem = partitions.check("domain", domain) or partitions.check("event_type", event_type)
        if problem:
            for row in np.flatnonzero(kind_codes == code).tolist():
                errors[row] = Problem("too-long", problem)
    return errors


def _breaches(
    checker: Checker,
    payloads: Sequence[msgspec.Raw],
    kinds: _Kinds,
    kind_codes: npt.NDArray[np.int32],
    errors: Mapping[int, Problem],
) -> dict[int, Problem]:
    """Checks the events that have a contract; returns those to reject, by row."""
    found: dict[int, Problem] = {}
    for code, kind in enumerate(kinds):
        if checker.knows(kind):
            rows = [row for row in np.flatnonzero(kind_codes == code).tolist() if row not in errors]
            problems = checker.check(kind, [payloads[row] for row in rows])
            if checker.refuses:
                found |= {rows[at]: problem for at, problem in problems.items()}
    return found


def _rejects_of_rows(
    errors: dict[int, Problem],
    parts: Sequence[tuple[Part, Decoded]],
    first_rows: npt.NDArray[np.int64],
) -> list[Reject]:
    """Makes rejects of rows that break a rule."""
    rejects: list[Reject] = []
    if not errors:
        return rejects
    rows = np.array(sorted(errors), np.int64)
    for (part, decoded), first, end in zip(parts, first_rows, first_rows[1:], strict=False):
        own = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)].tolist()
        spans = decoding.spans(part, decoded, [row - int(first) for row in own])
        for row, (start, end) in zip(own, spans, strict=True):
            raw = part.data[start:end]
            rejects.append(Reject(*part.source_at(start), len(raw), *errors[row], raw))
    return rejects
