"""Waiting for many things at once, where they are in a store."""

import threading
import time

import pytest

from pipeline.storage.parallel import NewFiles, each


class Together:
    """A call that returns only when so many others are under way, too."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count, timeout=10)

    def __call__(self, item: int) -> int:
        """Waits for the others."""
        self._barrier.wait()
        return item * 10


def test_calls_for_a_store_are_under_way_at_once() -> None:
    """And their results come in the order of the items."""
    assert list(each(Together(4), range(8), "s3://b", 4)) == [n * 10 for n in range(8)]


def test_calls_for_a_local_disk_are_made_when_their_results_are_asked_for() -> None:
    """One after another, in this thread."""
    made = []
    results = each(made.append, range(3), "/a")
    assert made == []
    next(results)
    assert made == [0]
    assert len(list(results)) == 2


def test_no_more_are_under_way_than_asked_for() -> None:
    """What nobody has asked for yet does not fill the memory.

    Seen to fail with all calls begun at once.
    """
    begun = []
    results = each(begun.append, range(100), "s3://b", 3)
    next(results)
    time.sleep(0.05)
    assert len(begun) <= 3
    assert len(list(results)) == 99


def test_an_error_of_a_call_is_raised() -> None:
    """Where its result would have come."""

    def call(item: int) -> int:
        if item == 2:
            raise OSError("no")
        return item

    results = each(call, range(4), "s3://b", 4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(OSError, match="no"):
        next(results)


def test_new_files_are_there_when_the_block_ends() -> None:
    """However long each of them takes; several are written at once."""
    there: dict[str, bytes] = {}
    together = threading.Barrier(3, timeout=10)

    def write(path: str, data: bytes) -> None:
        together.wait()
        there[path] = data

    with NewFiles(write) as files:
        for name in "abc":
            files.write(f"s3://b/{name}", name.encode())
    assert there == {f"s3://b/{name}": name.encode() for name in "abc"}


def test_a_local_file_is_there_at_once() -> None:
    """The disk makes nobody wait."""
    there = []
    with NewFiles(lambda path, data: there.append(path)) as files:
        files.write("/a", b"x")
        assert there == ["/a"]


def test_a_new_file_that_cannot_be_written_is_an_error() -> None:
    """At the end of the block at the latest: nobody takes it for written.

    Seen to fail without waiting for the last files.
    """

    def write(path: str, data: bytes) -> None:
        time.sleep(0.01)
        raise OSError("full")

    with pytest.raises(OSError, match="full"), NewFiles(write) as files:
        files.write("s3://b/a", b"x")
    with pytest.raises(KeyError), NewFiles(write) as files:
        files.write("s3://b/a", b"x")
        raise KeyError


@pytest.mark.parametrize("fails", ["a write", "the block"])
def test_after_an_error_nothing_is_written(fails: str) -> None:
    """Whoever clears up then finds all that there will ever be.

    Seen to fail: files that were under way came after that, and nobody knew of them.
    """
    under_way = threading.Barrier(2, timeout=10)
    there: list[str] = []

    def write(path: str, data: bytes) -> None:
        if path.endswith("slow"):
            under_way.wait()
            time.sleep(0.05)
            there.append(path)
        elif fails == "a write":
            raise OSError("full")

    with pytest.raises(OSError, match="full"), NewFiles(write) as files:
        files.write("s3://b/fast", b"x")
        files.write("s3://b/slow", b"x")
        under_way.wait()
        if fails == "the block":
            raise OSError("full")

    assert there == ["s3://b/slow"]


def test_what_is_being_written_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a limit a file waits for those before it."""
    monkeypatch.setattr("pipeline.storage.parallel._PENDING_BYTES", 100)
    writing: list[str] = []
    most = []

    def write(path: str, data: bytes) -> None:
        writing.append(path)
        most.append(len(writing))
        time.sleep(0.01)
        writing.remove(path)

    with NewFiles(write) as files:
        for number in range(10):
            files.write(f"s3://b/{number}", bytes(40))
    assert len(most) == 10
    assert max(most) <= 2
