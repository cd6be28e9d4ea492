"""A table held against what it must hold; see `expected`."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.errors import EventsiftError
from pipeline.storage.paths import STATE
from pipeline.verify import expected, plain_rows
from pipeline.verify.expected import Against, Expected, Place, Refused, Rules, Version
from pipeline.verify.rows import LOWER_HALF, Hashes, Live, batches, hash_ids, hash_rows

# Of the event_ids with findings, the first ones are looked up; of the sentences of each sort, the
# first ones are shown.
_LOOKED_UP, _SHOWN = 1000, 10
# The reason of dead letters that only a contract explains.
_BROKEN = "breaks-contract"


class Held(NamedTuple):
    """What a table holds, as far as it is compared.

    Attributes:
        root: The table.
        fields: Where the fields of events are in its input, as the table keeps it.
        live: Its live files.
        ids: For each file, the hashes of its event_ids.
        rows: For each file, the lower halves of the hashes of its rows.
    """

    root: str
    fields: str
    live: Sequence[Live]
    ids: Sequence[Hashes]
    rows: Sequence[Hashes]


class Compared(NamedTuple):
    """The outcome of a comparison.

    Attributes:
        kept: How many events must be there.
        rejected: How many records must be rejected.
        findings: A sentence for each difference; of many of one sort, some and how many more.
    """

    kept: int
    rejected: int
    findings: list[str]


def compare(held: Held, against: Against) -> Compared:
    """Finds where a table differs from what it must hold.

    Args:
        held: What the table holds.
        against: The files that say what it must hold.
    """
    fields = plain_rows.fields_of(held.fields)
    letters = list(_letters(held.root, fields))
    rules = Rules(fields, _broken(letters, held))
    wanted = expected.gather(against, rules)
    findings = [*_differences(held, wanted, against, rules)]
    findings += _lost_rejects(letters, wanted.refused)
    return Compared(len(wanted.ids), len(wanted.refused), findings)


def _differences(held: Held, wanted: Expected, against: Against, rules: Rules) -> list[str]:
    empty = np.empty(0, np.uint64)
    ids, rows = np.concatenate([empty, *held.ids]), np.concatenate([empty, *held.rows])
    places = np.minimum(np.searchsorted(wanted.ids, ids), max(len(wanted.ids) - 1, 0))
    known = wanted.ids[places] == ids if len(wanted.ids) else np.zeros(len(ids), bool)
    same = known.copy()
    same[known] = wanted.rows[places[known]] == rows[known]
    lost = np.isin(wanted.ids, ids, invert=True)
    wrong = np.unique(np.concatenate([ids[~same], wanted.ids[lost]]))
    if not len(wrong):
        return []
    looked_up = set(wrong[:_LOOKED_UP].tolist())
    there = _rows_of(held, looked_up)
    right = expected.latest(against, rules, looked_up)
    sorts: dict[str, list[str]] = {}
    for event_id in sorted(there.keys() | right.keys()):
        sentences = [*_sentences(event_id, there.get(event_id, []), right.get(event_id))]
        for sort, sentence in sentences or [("event_ids differ", f"event_id {event_id!r} differs")]:
            sorts.setdefault(sort, []).append(sentence)
    findings = [line for sort, sentences in sorts.items() for line in _shortened(sort, sentences)]
    more = len(wrong) - len(looked_up)
    return [*findings, f"{more:,} more event_ids differ"] if more else findings


def _shortened(sort: str, sentences: Sequence[str]) -> Iterator[str]:
    yield from sentences[:_SHOWN]
    if len(sentences) > _SHOWN:
        yield f"{len(sentences) - _SHOWN:,} more {sort}"


def _rows_of(held: Held, wanted: set[int]) -> dict[str, list[tuple[Version, str]]]:
    """Returns the rows of a table whose event_ids have some hashes, and the file of each."""
    looked_for = np.array(sorted(wanted), np.uint64)
    found: dict[str, list[tuple[Version, str]]] = {}
    for file, own in zip(held.live, held.ids, strict=True):
        if np.isin(own, looked_for).any():
            for batch in batches(held.root, file):
                batch = batch.filter(batch["event_id"].is_valid())
                hits = np.flatnonzero(np.isin(hash_ids(batch["event_id"]), looked_for))
                batch = batch.take(pa.array(hits))
                for version in _versions(file, batch):
                    found.setdefault(version.event_id, []).append((version, file.path))
    return found


def _versions(file: Live, rows: pa.RecordBatch) -> Iterator[Version]:
    instants = rows["timestamp"].cast(pa.int64()).to_pylist()
    ids = rows["event_id"].to_pylist()
    for event_id, micros, row in zip(ids, instants, hash_rows(file, rows), strict=True):
        yield Version(event_id, micros, 0, file.values[0], file.values[1], row)


def _sentences(
    event_id: str, there: Sequence[tuple[Version, str]], right: Version | None
) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with the rows of an event: the sort, and a sentence.

    Rows that are there more than once are found by `check`.
    """
    if right is None:
        yield "event_ids must not be there", f"event_id {event_id!r} is there, but must not be"
        return
    if not there:
        yield (
            "event_ids are lost",
            f"event_id {event_id!r} is lost: it must be there, in {_kind(right)}, with timestamp"
            f" {_time(right)}",
        )
    for row, path in there:
        start = f"{path}: event_id {event_id!r}"
        if row.row == right.row:
            continue
        if row.micros != right.micros:
            age = "stale" if row.micros < right.micros else "too new"
            yield (
                f"rows are {age}",
                f"{start} is {age}: its timestamp is {_time(row)}, that of the latest version"
                f" {_time(right)}",
            )
        elif _kind(row) != _kind(right):
            yield (
                "rows are misplaced",
                f"{start} is misplaced: it is in {_kind(row)}, its latest version is of"
                f" {_kind(right)}",
            )
        else:
            yield (
                "rows are altered",
                f"{start} is altered: its nanos, data or extra is not that of the latest version",
            )


def _kind(version: Version) -> str:
    return f"{version.domain}/{version.event_type}"


def _time(version: Version) -> str:
    micros = version.micros
    return f"{np.datetime64(micros, 'us')}Z" if micros is not None else "null"


# Dead letters


class _Letter(NamedTuple):
    """A dead letter.

    Attributes:
        place: The record that was rejected.
        reason: Why.
        row: The lower half of the hash of the row that it would be, if it breaks a contract.
        is_cut: Whether only the beginning of the record is kept, because it is too large.
    """

    place: Place
    reason: str
    row: int | None
    is_cut: bool


def _letters(root: str, fields: plain_rows.Fields) -> Iterator[_Letter]:
    """Yields the dead letters of a table.

    Raises:
        EventsiftError: A line is no dead letter.
    """
    for file in storage.list_files(storage.join(root, STATE, "rejects")):
        if file.path.endswith(".jsonl"):
            with storage.open_read(file.path) as stream:
                for number, line in enumerate(stream, 1):
                    try:
                        letter = json.loads(line)
                        raw, reason = _raw(letter), letter["reason"]
                        place = Place(letter["source"], letter["offset"], expected.record_hash(raw))
                        is_cut = plain_rows.MOST_BYTES < letter["length"] > len(raw)
                    except (ValueError, TypeError, KeyError) as error:
                        where = f"{file.path}, line {number:,}"
                        raise EventsiftError(f"{where}: not a dead letter: {error}") from error
                    row = plain_rows.row_of(raw, fields) if reason == _BROKEN else None
                    yield _Letter(place, reason, row and row.hash() & LOWER_HALF, is_cut)


def _raw(letter: dict[str, Any]) -> bytes:
    """Returns the bytes of a dead letter's record."""
    raw: str | None = letter.get("raw")
    return base64.b64decode(letter["raw_base64"]) if raw is None else raw.encode()


def _broken(letters: Iterable[_Letter], held: Held) -> set[Place]:
    """Returns the records that break a contract, and whose rows are not in the table.

    A row may be there in spite of its dead letter: another run has read the record by another
    contract, or by none. Then it must be the latest version, as any other row.
    """
    broken = [letter for letter in letters if letter.row is not None]
    rows = np.array([letter.row for letter in broken], np.uint64)
    there = np.isin(rows, np.concatenate([np.empty(0, np.uint64), *held.rows]))
    return {letter.place for letter, is_there in zip(broken, there, strict=True) if not is_there}


def _lost_rejects(letters: Iterable[_Letter], refused: Iterable[Refused]) -> list[str]:
    """Finds the records that must be rejected, and are not among the dead letters."""
    # By file and offset, the reason by the hash of the record. A file is known by its path and, for
    # answers, by its name.
    known: dict[tuple[str, int], dict[str, str]] = {}
    cut = set()  # records that are too large to be known by their bytes
    for letter in letters:
        place = letter.place
        for name in {place.source, place.source.rpartition("/")[2]}:
            known.setdefault((name, place.offset), {})[place.record] = letter.reason
            if letter.is_cut:
                cut.add((name, place.offset))
    sorts: dict[str, list[str]] = {}
    for one in refused:
        found = known.get((one.source, one.offset), {})
        start = f"{one.source}, offset {one.offset:,}:"
        if not found:
            why = f" ({one.reason})" if one.reason else ""
            sorts.setdefault("rejects are lost", []).append(
                f"{start} must be rejected{why}, but there is no dead letter"
            )
        elif (one.source, one.offset) in cut:
            continue
        elif one.record not in found:
            sorts.setdefault("rejects are altered", []).append(
                f"{start} its dead letter has other bytes"
            )
        elif one.reason and found[one.record] != one.reason:
            sorts.setdefault("rejects have another reason", []).append(
                f"{start} is rejected as {found[one.record]}, must be as {one.reason}"
            )
    return [line for sort, sentences in sorts.items() for line in _shortened(sort, sentences)]
