"""What kind of file it is, from its first bytes: text of some encoding, or plainly no JSON."""

import codecs
import re
from collections.abc import Iterable, Iterator

from pipeline.input import compression
from pipeline.input.compression import DamagedFileError

# How much of a file's beginning is looked at.
HEAD_BYTES = 4 << 10

# How files of other kinds begin, from the formats' specifications. Nothing in here can begin a JSON
# text, or is a compression that `compression` knows.
_MAGIC = {
    b"PAR1": "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
    b"FEA1": "a Feather file",
    b"PK\x03\x04": "a zip archive (or an Office document)",
    b"PK\x05\x06": "an empty zip archive",
    b"PK\x07\x08": "a part of a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"!<arch>\n": "an ar archive",
    b"%PDF-": "a PDF document",
    b"%!PS": "a PostScript document",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Office document",
    b"SQLite format 3\0": "an SQLite database",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"RIFF": "a media file (RIFF)",
    b"OggS": "a media file (Ogg)",
    b"ID3": "an MP3 file",
    b"fLaC": "a FLAC file",
    b"\x7fELF": "a program (ELF)",
    b"MZ\x90\0": "a program (Windows)",
    b"\xca\xfe\xba\xbe": "a program (Java or macOS)",
    b"\0asm": "a program (WebAssembly)",
    b"\x04\x22\x4d\x18": "compressed with LZ4",
    b"\x02\x21\x4c\x18": "compressed with LZ4",
    b"\xff\x06\0\0sNaPpY": "compressed with Snappy",
    b"\x1f\x9d": "compressed with compress (.Z)",
    b"\x89LZO\0\r\n\x1a\n": "compressed with lzop",
    b"LZIP\x01": "compressed with lzip",
    b"]\0\0": "compressed with LZMA alone",
}
_ANY_MAGIC = tuple(_MAGIC)
# Texts may begin with a byte order mark and white space.
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?[ \t\r\n]*(<\?xml|<!doctype|<html|<[a-z!?])", re.IGNORECASE
)
_MARKUP_KINDS = {
    b"<?xml": "an XML document",
    b"<!doctype": "an HTML document",
    b"<html": "an HTML document",
}
_TAR_MAGIC, _TAR_AT = b"ustar", 257
_OBJECT = re.compile(rb'\{[ \t\r\n]*"')
_TEXT_BEGINS = b'{["-0123456789tfn \t\r\n'
# Byte order marks; longer ones first, since UTF-32's begins like UTF-16's.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_ANY_MARK = tuple(_MARKS)
_NO_CHARACTER = "eventsift.no-character"
# A 0 for each of the first bytes that is 0, and a 1 for the others, of a text that begins with two
# ASCII characters (RFC 4627, section 3).
_PATTERNS = {"10001000": "utf-32-le", "00010001": "utf-32-be"}
_PATTERNS_OF_FOUR = {"1010": "utf-16-le", "0101": "utf-16-be"}


class NotJsonError(DamagedFileError):
    """A file of another kind.

    Attributes:
        head: How its content begins.
    """

    def __init__(self, message: str, head: bytes) -> None:
        super().__init__("not-json-file", message)
        self.head = head


def is_json(head: bytes) -> bool:
    """Tells whether a file that begins with these bytes is read as it is: as JSON in UTF-8."""
    return not (compression.name_of(head) or encoding_of(head) or kind_of(head))


def kind_of(head: bytes) -> str:
    """Returns what a file is that is plainly no JSON, to follow "the file is"; "" if it may be."""
    if head.startswith(_ANY_MAGIC):
        return next(kind for magic, kind in _MAGIC.items() if head.startswith(magic))
    if markup := _MARKUP.match(head):
        if markup[1].lower() in _MARKUP_KINDS:
            return _MARKUP_KINDS[markup[1].lower()]
        if not _OBJECT.search(head):
            return "an XML or HTML document"
    if head[_TAR_AT:].startswith(_TAR_MAGIC):
        return "a tar archive"
    # Text whose beginning is lost may begin with anything, but has objects further on.
    text = head.lstrip(b"\0 \t\r\n")
    if b"\0" in text and text[0] not in _TEXT_BEGINS and not _OBJECT.search(head):
        return "binary"
    return ""


def encoding_of(head: bytes) -> str:
    """Returns the encoding of a file that begins with these bytes; "" if it is UTF-8 or unknown."""
    if head.startswith(_ANY_MARK):
        return next(encoding for mark, encoding in _MARKS.items() if head.startswith(mark))
    if b"\0" not in head[:8]:
        return ""
    zeros = "".join("1" if byte else "0" for byte in head[:8])
    encoding = _PATTERNS.get(zeros) or _PATTERNS_OF_FOUR.get(zeros[:4], "")
    first = head[:4].strip(b"\0")[:1]
    return encoding if first and first in _TEXT_BEGINS else ""


def as_utf8(content: Iterator[bytes], packed_with: str) -> Iterator[bytes]:
    """Yields the content of a file as UTF-8.

    Args:
        content: Its content, of any encoding, in chunks.
        packed_with: The compression that the content was taken out of; "" if there is none.

    Raises:
        NotJsonError: It is plainly no JSON. Nothing was yielded.
        DamagedFileError: It ends within a character. Everything before that was yielded.
    """
    head = b""
    damage: DamagedFileError | None = None
    try:
        for chunk in content:
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
    except DamagedFileError as error:
        damage = error
    inner = compression.name_of(head)
    kind = f"compressed with {inner}" if inner else kind_of(head)
    if kind and not encoding_of(head):
        inside = f"{kind}, inside a file compressed with {packed_with}" if packed_with else kind
        message = f"the file is {inside}, not JSON: convert it, or leave it out of --input"
        raise NotJsonError(message, head)
    encoding = encoding_of(head)
    chunks = _chain(head, content, damage)
    yield from _reencoded(chunks, encoding) if encoding else chunks


def _no_character(error: UnicodeError) -> tuple[str, int]:
    """Replaces bytes that are no character by half of a surrogate pair."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(_NO_CHARACTER, _no_character)


def _chain(
    head: bytes, content: Iterator[bytes], damage: DamagedFileError | None
) -> Iterator[bytes]:
    """Yields what was read of a file already, and the rest; raises what ended it too early."""
    yield head
    if damage:
        raise damage
    yield from content


def _reencoded(content: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yields text of another encoding as UTF-8; see `as_utf8`."""
    # Bytes that are no character become bytes that are no UTF-8 either: only their record is lost.
    decoder = codecs.getincrementaldecoder(encoding)(_NO_CHARACTER)
    for chunk in content:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        message = f"{encoding.upper()} text ends within a character; deliver the whole file again"
        raise DamagedFileError("truncated-file", message)
