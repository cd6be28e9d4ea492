"""Which parts of files are read together."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import ranges
from pipeline.storage.ranges import Part

PARTS = st.builds(
    Part,
    st.sampled_from(["s3://b/a", "s3://b/b", "/a"]),
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 18),
)


@given(st.lists(PARTS))
def test_every_part_is_in_one_request_and_little_else(parts: list[Part]) -> None:
    """At most an eighth more than was asked for is fetched, of local files nothing more."""
    requests = ranges.combine(parts)

    assert sorted(number for request in requests for number in request.members) == list(
        range(len(parts))
    )
    assert [min(request.members) for request in requests] == sorted(
        min(request.members) for request in requests
    )
    for path, start, end, members in requests:
        own = [parts[number] for number in members]
        assert {part.path for part in own} == {path}
        assert start == min(part.offset for part in own)
        assert end == max(part.offset + part.bytes for part in own)
        wanted = sum(part.bytes for part in own)
        assert end - start <= wanted * (1 if path == "/a" else 9 / 8)


@given(st.lists(PARTS), st.integers(1, 1 << 18))
def test_parts_have_their_bytes(parts: list[Part], piece: int) -> None:
    """However large a request may be."""
    content = bytes(range(256)) * 5000

    def fetch(path: str, start: int, size: int) -> bytes:
        return content[start : start + size]

    found = list(ranges.read(parts, fetch))

    assert [bytes(one) for one in found] == [content[p.offset :][: p.bytes] for p in parts]


def test_few_are_under_way_at_once() -> None:
    """What nobody has asked for yet does not fill the memory.

    Seen to fail with all requests begun at once.
    """
    begun = []

    def fetch(path: str, start: int, size: int) -> bytes:
        begun.append(start)
        return bytes(size)

    found = ranges.read([Part("s3://b/a", number << 20, 10) for number in range(100)], fetch)
    next(found)
    assert len(begun) <= ranges.REQUESTS
    assert len(list(found)) == 99
