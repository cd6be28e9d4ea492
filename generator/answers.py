"""What must become of a delivery, known while it is made: the file of ``--answers``.

docs/formats.md describes the file. Which version of an event survives is computed first, from the
versions alone, without any text. So each answer can be written beside its event, in one pass.

Memory: 16 bytes for each event id that the delivery can have.
"""

from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import msgspec
import numpy as np
import xxhash

from generator.documents import Documents, broken, documents, micros
from generator.draws import Mask, Numbers
from generator.faults import reason
from generator.kinds import Kind, kinds
from generator.layout import of_member
from generator.options import Options
from generator.versions import BROKEN, COPY, Versions, counts, versions, versions_at

_CHUNK_EVENTS = 65_536
_NOWHERE = -1


class Record(NamedTuple):
    """Where a broken event is delivered.

    Attributes:
        file: The name of the file.
        offset: How many bytes of its content lie before the record.
        content: The record's bytes.
    """

    file: str
    offset: int
    content: bytes


class Answers:
    """Writes the answers of a delivery.

    Attributes:
        kept: How many rows the table must have.
        rejected: How many records must be rejected.
        digest: The sum of the hashes of the rows: the digest that ``verify`` prints of the table.
    """

    def __init__(self, options: Options, out: IO[bytes]) -> None:
        """Finds out what survives.

        Args:
            options: The delivery.
            out: Where to write to.
        """
        self.kept = self.rejected = self.digest = 0
        self._options = options
        self._kinds = kinds(options.types)
        self._out = out
        self._survives = np.zeros(options.events, bool)
        self._survives[_survivors(options)] = True

    def add(self, start: int, made: Versions, texts: Documents, records: Sequence[Record]) -> None:
        """Writes the answers to consecutive events.

        Args:
            start: The position of the first one.
            made: The events.
            texts: Their documents.
            records: Where the broken ones are, in their order.
        """
        self._out.write("".join(self._to_keep(start, made, texts)).encode())
        self._out.write("".join(self._to_reject(made, records)).encode())

    def _to_keep(self, start: int, made: Versions, texts: Documents) -> Iterator[str]:
        rows = np.flatnonzero(self._survives[start : start + len(made.fate)])
        instants = micros(self._options, made)[rows]
        times = np.datetime_as_string(instants.astype("M8[us]"))
        self.kept += len(rows)
        for row, instant, time in zip(
            rows.tolist(), instants.tolist(), times.tolist(), strict=True
        ):
            kind = self._kinds[made.kind[row]]
            event_id, extra = texts.event_ids[row], texts.extra[row]
            data = of_member(self._options, texts.data[row])
            content = event_id, instant, 0, kind.domain, kind.event_type, data, extra
            row_hash = xxhash.xxh3_128_intdigest(msgspec.json.encode(content))
            self.digest += row_hash
            yield (
                f'{{"keep":"{event_id}","timestamp":"{time}Z","domain":"{kind.domain}",'
                f'"event_type":"{kind.event_type}","digest":"{_digest(kind, data, extra):x}",'
                f'"row":"{row_hash:032x}"}}\n'
            )

    def _to_reject(self, made: Versions, records: Sequence[Record]) -> Iterator[str]:
        self.rejected += len(records)
        for record, (_, fault) in zip(records, broken(self._options, made), strict=True):
            yield (
                f'{{"reject":"{record.file}","offset":{record.offset},'
                f'"length":{len(record.content)},'
                f'"reason":"{reason(self._options.framing, fault)}",'
                f'"record":"{xxhash.xxh3_128_hexdigest(record.content)}"}}\n'
            )

    def end(self) -> None:
        """Writes the last line: without it, a file of answers is not whole."""
        total = {
            "events": self._options.events,
            "kept": self.kept,
            "rejected": self.rejected,
            "digest": f"{self.digest % 2**128:032x}",
        }
        self._out.write(msgspec.json.encode(total) + b"\n")


def _survivors(options: Options) -> Numbers:
    """Returns the positions of the events that are the latest version of their event id."""
    ids = options.known_ids + int(counts(options, np.array([options.events])).new[0])
    latest = np.zeros(ids, np.int64)
    winner = np.full(ids, _NOWHERE, np.int64)
    ties: list[Numbers] = [np.empty((3, 0), np.int64)]
    for start in range(0, options.events, _CHUNK_EVENTS):
        made = versions(options, start, min(start + _CHUNK_EVENTS, options.events))
        rows = np.flatnonzero(_competes(options, made))
        instants = micros(options, made)
        ids_of_rows, instants = made.id_number[rows], instants[rows]
        positions = start + rows
        while len(positions):  # in each round, each id once
            _, first = np.unique(ids_of_rows, return_index=True)
            own, instant, position = ids_of_rows[first], instants[first], positions[first]
            tied = (winner[own] != _NOWHERE) & (instant == latest[own])
            ties.append(np.stack([own, instant, position])[:, tied])
            later = (winner[own] == _NOWHERE) | (instant > latest[own])
            latest[own[later]], winner[own[later]] = instant[later], position[later]
            ids_of_rows, instants, positions = (
                np.delete(column, first) for column in (ids_of_rows, instants, positions)
            )
    own, instant, position = np.concatenate(ties, axis=1)
    open_ties = instant == latest[own]
    _decide(options, own[open_ties], position[open_ties], winner)
    return winner[winner != _NOWHERE]


def _competes(options: Options, made: Versions) -> Mask:
    """Tells which events can survive: not the broken ones, nor copies of what is delivered, too."""
    copies = (made.fate == COPY) & (made.id_number >= options.known_ids)
    mask: Mask = (made.fate != BROKEN) & ~copies
    return mask


def _decide(options: Options, ids: Numbers, positions: Numbers, winner: Numbers) -> None:
    """Decides between versions of one instant.

    Args:
        options: The delivery.
        ids: The numbers of the event ids.
        positions: For each, the position of a version.
        winner: For every event id, the position of another version; gets that of the winner.
    """
    contested = np.unique(ids)
    ids = np.concatenate([ids, contested])
    positions = np.concatenate([positions, winner[contested]])
    best: dict[int, int] = {}
    for start in range(0, len(ids), _CHUNK_EVENTS):
        part = slice(start, start + _CHUNK_EVENTS)
        made = versions_at(options, positions[part])
        texts = documents(options, made)
        for row, (number, position) in enumerate(
            zip(ids[part].tolist(), positions[part].tolist(), strict=True)
        ):
            kind = kinds(options.types)[made.kind[row]]
            digest = _digest(kind, of_member(options, texts.data[row]), texts.extra[row])
            if digest > best.get(number, -1):
                best[number] = digest
                winner[number] = position


def _digest(kind: Kind, data: str, extra: str | None) -> int:
    """Returns what decides between versions of one instant: the greatest one survives.

    docs/formats.md has the rule. No instant has nanoseconds here.
    """
    rest = kind.domain, kind.event_type, extra
    seed = xxhash.xxh3_64_intdigest(msgspec.json.encode(rest))
    return xxhash.xxh3_64_intdigest(data.encode(), seed) >> 11
