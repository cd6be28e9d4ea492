"""Dead letters as a report shows them: the first of each reason.

A file of dead letters may have millions of lines, so only its beginning is read.
"""

from collections.abc import Collection

import msgspec

from pipeline import storage

# Whoever looks for the first few reads no more than this; one letter may have 16 MiB of record.
_LIMIT_BYTES = 32 << 20


class Letter(msgspec.Struct, frozen=True):
    """A dead letter; see `rejects.Reject`. `raw` is "" where the record is not UTF-8."""

    source: str
    offset: int
    length: int
    reason: str
    message: str
    raw: str = ""


def first(path: str, reasons: Collection[str], each: int = 1) -> dict[str, list[Letter]]:
    """Returns the first dead letters of each reason, as far as the file's beginning has them.

    Args:
        path: The file; what cannot be read of it is passed over.
        reasons: The reasons to look for.
        each: How many letters of one reason are wanted.
    """
    found: dict[str, list[Letter]] = {reason: [] for reason in reasons}
    missing, left = each * len(found), _LIMIT_BYTES
    try:
        with storage.open_read(path) as letters:
            while missing and left > 0 and (line := letters.readline(left)):
                left -= len(line)
                try:
                    letter = msgspec.json.decode(line, type=Letter)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    continue
                own = found.get(letter.reason, [])
                if letter.reason in found and len(own) < each:
                    own.append(letter)
                    missing -= 1
    except OSError:
        pass
    return {reason: own for reason, own in found.items() if own}
