"""Writes a delivery: events in files, in a framing and a compression."""

import bz2
import contextlib
import gzip
import lzma
import os
import pathlib
from collections.abc import Iterator
from typing import IO, NamedTuple, Protocol

import numpy as np

from generator.answers import Answers, Record
from generator.documents import broken, documents
from generator.layout import indented
from generator.options import Options
from generator.versions import counts, versions
from pipeline import signals
from pipeline.amounts import counted as number_of
from pipeline.notices import Work

# Large enough that the cost of numpy's calls is negligible, small enough for the processor's cache.
_CHUNK_EVENTS = 16_384

_BOM = b"\xef\xbb\xbf"


class Framing(NamedTuple):
    """How events become the text of a file.

    Attributes:
        extension: The file's extension, with the dot.
        before: The text before the first event.
        between: The text between two events.
        after: The text after the last event.
        empty: The whole text of a file without events.
        indented: Whether an event takes several lines.
    """

    extension: str
    before: str = ""
    between: str = ""
    after: str = ""
    empty: str = ""
    indented: bool = False


_FRAMINGS = {
    "lines": Framing(".jsonl", between="\n", after="\n"),
    "concatenated": Framing(".json"),
    "spaced": Framing(".json", between=" "),
    "pretty": Framing(".json", between="\n", after="\n", indented=True),
    "array": Framing(".json", before="[\n", between=",\n", after="\n]\n", empty="[]\n"),
}
_EXTENSIONS = {"none": "", "gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst"}


class Summary(NamedTuple):
    """What was delivered, and what a further delivery needs to know.

    Attributes:
        events: How many events were written.
        files: How many files.
        size_bytes: Their size.
        new_ids: Events with a new event id.
        duplicates: Events with a repeated event id.
        broken: Broken events.
        known_ids: The option ``--known-ids`` of the next delivery.
        next_file: The option ``--first-file`` of the next delivery.
    """

    events: int
    files: int
    size_bytes: int
    new_ids: int
    duplicates: int
    broken: int
    known_ids: int
    next_file: int

    def sentence(self) -> str:
        """Returns the summary as one line for people."""
        return (
            f"{number_of(self.events, 'event')} in {number_of(self.files, 'file')}, "
            f"{number_of(self.size_bytes, 'byte')}: "
            f"{number_of(self.new_ids, 'new id')}, {number_of(self.duplicates, 'duplicate')}, "
            f"{self.broken:,} broken "
            f"(to go on: --known-ids {self.known_ids} --first-file {self.next_file})"
        )


def deliver(options: Options, work: Work | None = None) -> Summary:
    """Writes the files of a delivery, one after the other.

    A file gets its name when it is complete; until then it is hidden. Files of the same name are
    replaced.

    Args:
        options: What the delivery is like.
        work: Counts the events and bytes that are written.

    Raises:
        OSError: The directory cannot be made, or a file cannot be written.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        answers = None
        if options.answers:
            answers = Answers(options, stack.enter_context(_appearing(options.answers)))
        summary = _deliver(options, answers, work or Work("generate"))
        if answers:
            answers.end()
    return summary


def _deliver(options: Options, answers: Answers | None, work: Work) -> Summary:
    """Writes the files, and the answers to their events."""
    extension = _FRAMINGS[options.framing].extension + _EXTENSIONS[options.compression]
    size_bytes = 0
    for n in range(options.files):
        path = options.output / f"events-{options.first_file + n:05d}{extension}"
        start, stop = (options.events * edge // options.files for edge in (n, n + 1))
        size_bytes += _write(path, options, start, stop, answers, work)
    counted = counts(options, np.array([options.events]))
    new_ids = int(counted.new[0])
    return Summary(
        events=options.events,
        files=options.files,
        size_bytes=size_bytes,
        new_ids=new_ids,
        duplicates=int(counted.repeated[0]),
        broken=int(counted.broken[0]),
        known_ids=options.known_ids + new_ids,
        next_file=options.first_file + options.files,
    )


def _write(
    path: pathlib.Path,
    options: Options,
    start: int,
    stop: int,
    answers: Answers | None,
    work: Work,
) -> int:
    """Writes a file with the events ``start`` to below ``stop``, and returns its size."""
    before = work.bytes
    with _appearing(path) as raw:
        with _compressed(raw, options.compression) as file:
            written = chunks(options, start, stop, path.name, answers)
            for number, chunk in enumerate(written, start=1):
                file.write(chunk)
                work.done = min(start + number * _CHUNK_EVENTS, stop)
                work.bytes = before + raw.tell()
        size_bytes = raw.tell()
        work.bytes = before + size_bytes
        return size_bytes


@contextlib.contextmanager
def _appearing(path: pathlib.Path) -> Iterator[IO[bytes]]:
    """Opens a file that gets its name when it is complete."""
    hidden = path.with_name(f".{path.name}.part")
    with signals.before_ending(lambda _: hidden.unlink(missing_ok=True)):
        try:
            with hidden.open("wb") as raw:
                yield raw
            os.replace(hidden, path)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise


class _Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


def _compressed(raw: IO[bytes], compression: str) -> contextlib.AbstractContextManager[_Writer]:
    """Returns a writer that compresses into ``raw``, and leaves that open at its end."""
    if compression == "gzip":
        # Neither name nor time in the header, or the bytes would differ from run to run.
        return gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0)
    if compression == "bzip2":
        return bz2.BZ2File(raw, "wb")
    if compression == "xz":
        # A higher preset is several times slower for a few percent.
        return lzma.LZMAFile(raw, "wb", preset=1)
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor().stream_writer(raw, closefd=False)
    return contextlib.nullcontext(raw)


def chunks(
    options: Options, start: int, stop: int, name: str = "", answers: Answers | None = None
) -> Iterator[bytes]:
    """Yields the bytes, not compressed, of a file with the events ``start`` to below ``stop``.

    Args:
        options: The delivery.
        start: The position of the first event.
        stop: The position after the last one.
        name: The file's name, for the answers.
        answers: Gets the answers to the events.
    """
    framing = _FRAMINGS[options.framing]
    offset = len(_BOM) if options.bom else 0
    if options.bom:
        yield _BOM
    if start == stop:
        yield _encoded(framing.empty, options)
        return
    for at in range(start, stop, _CHUNK_EVENTS):
        end = min(at + _CHUNK_EVENTS, stop)
        made = versions(options, at, end)
        made_texts = documents(options, made)
        texts = made_texts.texts
        if framing.indented:
            texts = [indented(text) for text in texts]
        head = framing.before if at == start else framing.between
        tail = framing.after if end == stop else ""
        chunk = _encoded(head + framing.between.join(texts) + tail, options)
        if answers:
            places = _places(name, offset + len(_encoded(head, options)), texts, options)
            answers.add(at, made, made_texts, [places[row] for row, _ in broken(options, made)])
        offset += len(chunk)
        yield chunk


def _places(name: str, offset: int, texts: list[str], options: Options) -> list[Record]:
    """Returns where texts lie in a file whose first one lies at an offset."""
    between = len(_encoded(_FRAMINGS[options.framing].between, options))
    places = []
    for text in texts:
        places.append(Record(name, offset, _encoded(text, options)))
        offset += len(places[-1].content) + between
    return places


def _encoded(text: str, options: Options) -> bytes:
    """Returns text as bytes, with the line ends that are asked for."""
    if options.crlf:
        text = text.replace("\n", "\r\n")
    return text.encode("utf-8", "surrogateescape")
