import gzip
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.input import streams
from pipeline.input.blocks import Piece

LINES = [
    json.dumps({"event_id": f"e{n}", "timestamp": "t", "domain": "d", "event_type": "e", "data": n})
    for n in range(40)
]


@given(st.integers(1, 1000), st.booleans(), st.booleans())
def test_parts_of_any_size_hold_every_event_once(
    part_bytes: int, in_array: bool, packed: bool
) -> None:
    """Events are in order, in an array or not, compressed or not; each part knows its offset.

    Seen to fail with the rest of a part left out of the next one.
    """
    data = f"[{','.join(LINES)}]" if in_array else "\n".join(LINES)
    stored = gzip.compress(data.encode()) if packed else data.encode()
    piece = Piece("file", 0, len(stored))

    found = list(streams.parts(io.BytesIO(stored), piece, part_bytes, 1000))

    events = [event for _, decoded in found for event in decoded.events]
    assert [event.event_id for event in events] == [f"e{n}" for n in range(40)]
    assert not [reject for _, decoded in found for reject in decoded.rejects]
    for part, _ in found:
        assert data[part.offset :].encode().startswith(part.data)
    if not packed:  # a little is decompressed into more
        assert max(len(part.data) for part, _ in found) < 2 * part_bytes + 2 * len(LINES[-1]) + 10


def test_a_piece_is_all_that_is_read() -> None:
    """Of a file that was cut, a call decodes the bytes from the piece's start to its end."""
    data = "\n".join(LINES).encode()
    start, end = data.index(b'{"event_id": "e7"'), data.index(b'{"event_id": "e9"')

    ((part, decoded),) = streams.parts(io.BytesIO(data), Piece("file", start, end), 1 << 20, 1000)

    assert [event.event_id for event in decoded.events] == ["e7", "e8"]
    assert part.source_at(0) == ("file", start)
