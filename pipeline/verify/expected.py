"""What a table must hold: by the files of ``generate --answers``, and by the input itself.

Memory: about 100 bytes for each version that is read.
"""

import array
import json
from collections.abc import Iterator, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline import storage
from pipeline.errors import EventsiftError
from pipeline.verify import plain_files, plain_rows

_LOW_BITS = (1 << 64) - 1


class Version(NamedTuple):
    """A version of an event.

    Attributes:
        event_id: Its event_id.
        micros: Its instant in microseconds since 1970.
        digest: What decides between two versions of one microsecond; see `plain_rows.digest`.
        domain: Its domain.
        event_type: Its event type.
        row: The hash of the row; see `check`.
    """

    event_id: str
    micros: int
    digest: int
    domain: str
    event_type: str
    row: int


class Refused(NamedTuple):
    """A record that must be a dead letter.

    Attributes:
        source: The file; its name alone, by answers.
        offset: How many bytes of its content lie before the record.
        record: The hash of the record's bytes.
        reason: The reason that the dead letter must have; None if any will do.
    """

    source: str
    offset: int
    record: str
    reason: str | None


class Against(NamedTuple):
    """The files that a table is held against.

    Attributes:
        answers: Files of answers.
        input: Input files.
    """

    answers: Sequence[str]
    input: Sequence[str]


class Place(NamedTuple):
    """Where a record lies, and what it is.

    Attributes:
        source: The file.
        offset: How many bytes of its content lie before the record.
        record: The hash of the record's bytes.
    """

    source: str
    offset: int
    record: str


class Rules(NamedTuple):
    """How the input of a table was read.

    Attributes:
        fields: Where the fields of an event are.
        broken: The records that were rejected because they break a contract; the input alone does
            not tell.
    """

    fields: plain_rows.Fields = plain_rows.OWN_NAMES
    broken: Set[Place] = frozenset()


def against(answers: Sequence[str], patterns: Sequence[str], root: str) -> Against:
    """Finds the files that a table is held against.

    Args:
        answers: Files of answers.
        patterns: Patterns of input files.
        root: The table, in which no input lies.

    Raises:
        EventsiftError: No file matches the patterns.
    """
    within = root.rstrip("/") + "/"
    paths = [file.path for file in storage.match(patterns).files]
    paths = [path for path in paths if not path.startswith(within)]
    if patterns and not paths:
        raise EventsiftError(f"no file matches {' '.join(map(storage.shown, patterns))!r}")
    return Against(answers, paths)


def of_input(path: str, rules: Rules) -> Iterator[Version | Refused]:
    """Yields what becomes of each record of an input file.

    Args:
        path: The file.
        rules: How it was read.

    Raises:
        UncheckedError: The file cannot be checked.
    """
    for record in plain_files.records(path):
        row = plain_rows.row_of(record.raw, rules.fields)
        place = Place(path, record.offset, record_hash(record.raw))
        if row is None or place in rules.broken:
            yield Refused(*place, None)
        else:
            kind = row.domain, row.event_type
            yield Version(row.event_id, row.micros, plain_rows.digest(row), *kind, row.hash())


def of_answers(path: str) -> Iterator[Version | Refused]:
    """Yields what a file of answers says. docs/formats.md describes the file.

    Raises:
        EventsiftError: It is no file of answers, or not whole.
    """
    kept = rejected = 0
    total: dict[str, Any] | None = None
    with storage.open_read(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                answer = json.loads(line)
                if "keep" in answer:
                    kept += 1
                    yield _version(answer)
                elif "reject" in answer:
                    rejected += 1
                    names = "reject", "offset", "record", "reason"
                    yield Refused(*(answer[name] for name in names))
                else:
                    total = answer
                    expected = answer["kept"], answer["rejected"]
            except (ValueError, TypeError, KeyError) as error:
                raise EventsiftError(f"{path}, line {number:,}: not an answer: {error}") from error
    if total is None or (kept, rejected) != expected:
        raise EventsiftError(f"{path}: the answers are not whole; make them again")


def _version(answer: dict[str, Any]) -> Version:
    when = plain_rows.instant(answer["timestamp"])
    if when is None:
        raise ValueError(f"timestamp is {answer['timestamp']!r}")
    digest, row = int(answer["digest"], 16), int(answer["row"], 16)
    return Version(answer["keep"], when[0], digest, answer["domain"], answer["event_type"], row)


def record_hash(raw: bytes) -> str:
    """Returns the hash of a record's bytes, as answers have it."""
    return xxhash.xxh3_128_hexdigest(raw)


def id_hash(event_id: str) -> int:
    """Returns 64 bits that stand for an event_id."""
    return xxhash.xxh3_64_intdigest(event_id.encode())


class Expected(NamedTuple):
    """What a table must hold.

    Attributes:
        ids: The hash of each event_id, sorted.
        rows: The lower half of the hash of each row.
        refused: The records that must be dead letters.
    """

    ids: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.uint64]
    refused: list[Refused]


def gather(against: Against, rules: Rules) -> Expected:
    """Finds the latest version of each event, and the records that must be rejected."""
    ids, digests, rows = array.array("Q"), array.array("Q"), array.array("Q")
    instants = array.array("q")
    refused = []
    for one in _all(against, rules):
        if isinstance(one, Refused):
            refused.append(one)
        else:
            ids.append(id_hash(one.event_id))
            instants.append(one.micros)
            digests.append(one.digest)
            rows.append(one.row & _LOW_BITS)
    hashes = np.frombuffer(ids, np.uint64)
    order = np.lexsort(
        [np.frombuffer(digests, np.uint64), np.frombuffer(instants, np.int64), hashes]
    )
    hashes = hashes[order]
    latest = np.append(hashes[1:] != hashes[:-1], True)[: len(hashes)]
    return Expected(hashes[latest], np.frombuffer(rows, np.uint64)[order[latest]], refused)


def latest(against: Against, rules: Rules, wanted: set[int]) -> dict[str, Version]:
    """Returns the latest versions of the events whose event_ids have some hashes."""
    found: dict[str, Version] = {}
    for one in _all(against, rules):
        if isinstance(one, Version) and id_hash(one.event_id) in wanted:
            best = found.get(one.event_id)
            if best is None or one[1:3] >= best[1:3]:
                found[one.event_id] = one
    return found


def _all(against: Against, rules: Rules) -> Iterator[Version | Refused]:
    for path in against.answers:
        yield from of_answers(path)
    for path in against.input:
        yield from of_input(path, rules)
