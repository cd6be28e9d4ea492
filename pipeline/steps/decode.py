"""Decoding a block: its pieces become tables of events, and what is wrong becomes dead letters."""

import contextlib
import io
import itertools
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.framing import borders
from pipeline.input import events, sniff, streams
from pipeline.input.blocks import Block
from pipeline.input.contracts import Checker, Contract
from pipeline.input.counts import Counts
from pipeline.input.decoding import Decoded, Part, decode
from pipeline.input.fields import OWN_NAMES, FieldMap
from pipeline.input.rejects import Reject
from pipeline.rows import batches
from pipeline.steps.sizes import Sizes

# What is decoded together. The objects that come of it stay in the processor's cache, and their
# memory is used again and again: with whole blocks, decoding takes half as long again.
PART_BYTES = 4 << 20
# What a reject takes in memory, about, besides its bytes.
_REJECT_BYTES = 1 << 10
# Files of up to this share of a part are decoded together.
_SMALL = 1 / 64


class ReadSettings(NamedTuple):
    """What reading depends on besides the block.

    Attributes:
        run: The run's id, for dead letters.
        directory: Where payloads and dead letters are staged.
        sizes: How the work is divided.
        max_event_bytes: Limit on one event's data and extra fields.
        scratch: A local folder that versions are stored in; "" if they are returned.
        part_bytes: How many bytes are decoded together.
        names: Where the fields of the events are.
        contract: What their data has to fulfil; None if nothing is asked.
        provenance: Whether rows are to say which file and run they come from.
    """

    run: str
    directory: str
    sizes: Sizes
    max_event_bytes: int
    scratch: str = ""
    part_bytes: int = PART_BYTES
    names: FieldMap = OWN_NAMES
    contract: Contract | None = None
    provenance: bool = False


class Notes(contextlib.ExitStack):
    """What is noted of a block beside its events, and its dead letters.

    Attributes:
        bytes: How many bytes were read.
        by_file: What each file had.
        checker: Holds the events against their contract; None if there is none.
        path: The file of the dead letters, which is made when the first of them comes, "" if there
            are none; complete after the ``with`` block.
        reasons: How many there are, by reason.
    """

    def __init__(self, settings: ReadSettings) -> None:
        super().__init__()
        self.bytes = 0
        self.by_file = Counts()
        self.checker = Checker(settings.contract) if settings.contract else None
        self.path = ""
        self.reasons: Counter[str] = Counter()
        self._settings = settings
        self._file: BinaryIO | None = None

    def checked(self) -> tuple[int, int]:
        """Returns how many events were held against a contract, and how many of these break it."""
        return (self.checker.checked, self.checker.broken) if self.checker else (0, 0)

    def add(self, table: pa.Table, rejects: Sequence[Reject]) -> None:
        """Notes what was made of some bytes: events, and rejects, which become dead letters."""
        self.by_file.add(table, rejects)
        if not rejects:
            return
        if self._file is None:
            self.path = storage.join(self._settings.directory, f"{uuid.uuid4().hex}.jsonl")
            self._file = self.enter_context(storage.create(self.path))
        self._file.writelines(reject.dead_letter(self._settings.run) for reject in rejects)
        self.reasons.update(reject.reason for reject in rejects)


def tables(block: Block, settings: ReadSettings, notes: Notes) -> Iterator[tuple[pa.Table, int]]:
    """Yields tables of a block's events, each with the number of bytes it is made of.

    Many small files become one table.

    Args:
        block: The block.
        settings: How it is read.
        notes: Gets the rejects, and what is counted.
    """
    sized = (
        (part, part[1].consumed + _REJECT_BYTES * len(part[1].rejects))
        for part in _parts(block, settings, notes)
    )
    for parts in batches.up_to(settings.part_bytes, sized):
        table, rejects = events.to_table(
            parts, settings.max_event_bytes, settings.sizes.id_seed, notes.checker
        )
        notes.add(table, rejects)
        if not settings.provenance:
            table = table.drop_columns("source_file")
        yield table, sum(decoded.consumed for _, decoded in parts)


def _parts(block: Block, settings: ReadSettings, notes: Notes) -> Iterator[tuple[Part, Decoded]]:
    """The decoded parts of a block's pieces; adds up the bytes read."""
    how = settings.part_bytes, settings.max_event_bytes, settings.names
    small: list[tuple[str, bytes]] = []
    small_bytes = 0
    for piece, stream in zip(block.pieces, storage.open_ranges(block.ranges), strict=True):
        with stream:
            if piece.start or piece.end > _SMALL * settings.part_bytes:
                yield from streams.parts(stream, piece, *how)
                notes.bytes += stream.tell() - piece.start
                if settings.sizes.forget and storage.is_local(piece.path):
                    storage.forget(stream, piece.start, piece.end)
                continue
            data = stream.read(piece.end)
        notes.bytes += len(data)
        if not (borders.is_between_borders(data) and sniff.is_json(data[: sniff.HEAD_BYTES])):
            yield from streams.parts(io.BytesIO(data), piece, *how)
            continue
        small.append((piece.path, data))
        small_bytes += len(data)
        if small_bytes >= settings.part_bytes:
            yield from _decode_together(small, settings.names)
            small, small_bytes = [], 0
    if small:
        yield from _decode_together(small, settings.names)


def _decode_together(
    files: Sequence[tuple[str, bytes]], names: FieldMap
) -> Iterator[tuple[Part, Decoded]]:
    """Small files, given with their content, as one part, and decoded.

    Each by itself would take as long as ten events. They are joined at borders, which changes
    nothing in the result.
    """
    paths, contents = zip(*files, strict=True)
    starts = itertools.accumulate(len(data) + 1 for data in contents)
    more = tuple(zip(starts, paths[1:], strict=False))
    part = Part(paths[0], 0, b"\n".join(contents), more=more, names=names)
    decoded = decode(part)
    if not decoded.is_stopped and all(reject.length for reject in decoded.rejects):
        yield part, decoded
        return
    # An array that is not closed: only by itself a file shows where that was noticed.
    for path, data in files:
        yield from streams.decode_all(Part(path, 0, data, names=names))
