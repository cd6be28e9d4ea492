"""Files in object stores: names, errors, what is tried again, and how few requests it all takes."""

import io
import random
import re
import time
from collections.abc import Callable, Iterator
from itertools import count

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.rows import live_rows
from pipeline.storage.ranges import REQUESTS
from tests.storage.fake_s3 import BUCKET, FakeS3, serving
from tests.storage.rules import fill, matched

ROOT = f"s3://{BUCKET}"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """A store that this process takes for S3."""
    with serving() as store:
        store.lead_here(monkeypatch)
        yield store


class TestNames:
    def test_markers_of_folders_are_no_files(self, s3: FakeS3) -> None:
        """Consoles of object stores make empty objects whose names end with a slash.

        Seen to fail without the question whether an empty object is there by its name.
        """
        for key in ("d/", "d/e/", "d/e/f/"):
            s3.put(key, b"")
        fill(ROOT, "d/a", "d/empty")
        s3.put("d/empty", b"")
        assert matched(ROOT, "d") == ["d/a", "d/empty"]
        assert matched(ROOT, "") == ["d/a", "d/empty"]

    def test_names_of_all_kinds(self, s3: FakeS3) -> None:
        """What may stand in a name comes back as it is, and is found by it."""
        names = ["a b", "a%20b", "ä/ö", "a+b", "a&b=c", "~#?", "*.json", "[x]", "domain=%2F/x"]
        fill(ROOT, *names)
        assert sorted(s3.objects) == sorted(names)
        assert sorted(file.path for file in storage.list_files(ROOT)) == [
            f"{ROOT}/{name}" for name in sorted(names)
        ]
        for name in names:
            assert storage.read_bytes(f"{ROOT}/{name}") == name.encode()

    @pytest.mark.parametrize("key", ["in/d//a.json", "in/./a.json"])
    def test_a_name_that_nobody_can_ask_for_is_an_error(self, s3: FakeS3, key: str) -> None:
        """Rather than left out in silence; the sentence says which one it is, and what to do."""
        fill(ROOT, "other/a.json")
        s3.put(key, b"x")
        with pytest.raises(OSError, match=re.escape(f'"{key}"')) as raised:
            storage.match([f"{ROOT}/in"])
        assert str(raised.value).startswith(f"{ROOT}/in: ")
        assert "rename it, or give a folder that it does not lie in" in str(raised.value)
        assert matched(ROOT, "other") == ["other/a.json"]

    def test_there_are_no_folders(self, s3: FakeS3) -> None:
        """Nothing to list, nothing to remove."""
        assert storage.folders(ROOT) == []
        storage.remove_empty_directories([ROOT])
        assert s3.requests == []

    def test_an_unknown_store_is_named(self) -> None:
        """The message says which ones there are."""
        with pytest.raises(ValueError, match="nosuch://bucket/a: there is no store nosuch://"):
            storage.read_bytes("nosuch://bucket/a")


class TestErrors:
    def test_what_cannot_be_deleted_is_an_error(self, s3: FakeS3) -> None:
        """Only missing files are passed over."""
        fill(ROOT, "a", "locked")
        s3.locked.add("locked")
        with pytest.raises(OSError, match="Denied"):
            storage.delete([f"{ROOT}/nothing", f"{ROOT}/locked"])
        assert "locked" in s3.objects

    def test_what_may_not_be_read_is_named(self, s3: FakeS3) -> None:
        """With the store's own words, in one line."""
        fill(ROOT, "locked")
        s3.locked.add("locked")
        with pytest.raises(PermissionError) as raised:
            storage.read_bytes(f"{ROOT}/locked")
        assert str(raised.value) == f"[Errno 13] Access Denied (AccessDenied): '{ROOT}/locked'"

    def test_a_bucket_that_is_not_there(self, s3: FakeS3) -> None:
        """It is no empty folder."""
        message = r"^s3://other/x: The specified bucket does not exist\. \(NoSuchBucket\)$"
        with pytest.raises(OSError, match=message):
            storage.match(["s3://other/x/*"])

    def test_a_path_without_a_bucket(self, s3: FakeS3) -> None:
        """The path is named."""
        with pytest.raises(FileNotFoundError, match=r"it names no bucket: 's3:///a'"):
            storage.read_bytes("s3:///a")


# Something that takes requests, by its name, and what comes of it.
CALLS: dict[str, Callable[[], object]] = {
    "read": lambda: storage.read_bytes(f"{ROOT}/a"),
    "part": lambda: storage.read_part(f"{ROOT}/a", 1000, 500_000),
    "tail": lambda: storage.open_read(f"{ROOT}/a").seek(0, io.SEEK_END),
    "range": lambda: storage.open_read(f"{ROOT}/a", 5, 500_000).read(),
    "list": lambda: len(storage.list_files(ROOT)),
    "info": lambda: storage.info(f"{ROOT}/a").bytes,
    "write": lambda: (
        storage.write_bytes(f"{ROOT}/b", bytes(300)) or storage.read_bytes(f"{ROOT}/b")
    ),
    "large": lambda: storage.write_bytes(f"{ROOT}/c", CONTENT) or storage.read_bytes(f"{ROOT}/c"),
    "copy": lambda: storage.copy(f"{ROOT}/a", f"{ROOT}/d") or storage.read_bytes(f"{ROOT}/d"),
    "delete": lambda: storage.delete([f"{ROOT}/gone"]) or storage.exists(f"{ROOT}/gone"),
}
CONTENT = random.Random(5).randbytes(600_000)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("fault", "every"),
    [(503, 2), (500, 2), (429, 3), (0, 2), (-1, 3)],
    ids=["busy", "broken", "throttled", "cut", "cut in the middle"],
)
def test_a_store_that_fails_now_and_then_is_asked_again(
    s3: FakeS3, monkeypatch: pytest.MonkeyPatch, call: str, fault: int, every: int
) -> None:
    """Whatever it was asked for; nothing is lost and nothing is doubled."""
    monkeypatch.setattr("pipeline.storage.object_store._PUT_BYTES", 200_000)
    s3.put("a", CONTENT)
    s3.put("gone", b"x")
    wanted = CALLS[call]()
    s3.put("gone", b"x")
    numbers, asked = count(1), len(s3.requests)

    def fails(_: int) -> int | None:
        return fault if next(numbers) % every == 1 else None

    s3.fault = fails
    assert CALLS[call]() == wanted
    assert len(s3.requests) - asked > asked / 2


class TestRequests:
    def test_a_small_object_takes_one_request_each(self, s3: FakeS3) -> None:
        """To write, to read whole or in part, to look at, to copy."""
        path = f"{ROOT}/a"
        storage.write_bytes(path, bytes(1 << 20))
        storage.write_new(path, bytes(1 << 20))
        with storage.create(path) as file:
            file.writelines([bytes(1 << 20), bytes(7)])
        assert s3.requests == [("PUT", "/bucket/a")] * 3
        s3.requests.clear()

        storage.read_bytes(path)
        storage.read_part(path, 5, 7)
        storage.open_read(path, 5, 700_000).read()
        storage.exists(path)
        storage.copy(path, f"{ROOT}/b")

        kinds = [method for method, _ in s3.requests]
        assert kinds == ["GET", "GET", "GET", "HEAD", "PUT"]

    def test_a_large_object_is_written_in_parts(self, s3: FakeS3) -> None:
        """Each of them can be tried again by itself."""
        content = random.Random(6).randbytes(70 << 20)
        storage.write_new(f"{ROOT}/a", content)
        with storage.create(f"{ROOT}/b") as file:
            for start in range(0, len(content), 1 << 20):
                file.write(content[start : start + (1 << 20)])
        assert s3.objects["a"] == s3.objects["b"] == content
        assert len(s3.asked("PUT")) == 2 * 3
        assert len(s3.asked("POST")) == 2 * 2

    def test_half_an_object_is_never_seen(self, s3: FakeS3) -> None:
        """Also not one that is written in parts."""
        with pytest.raises(RuntimeError), storage.create(f"{ROOT}/a") as file:
            for _ in range(70):
                file.write(bytes(1 << 20))
            raise RuntimeError
        assert s3.objects == {}

    @pytest.mark.parametrize(
        ("pattern", "kinds"),
        [
            ("d/*.json", ["LIST"]),
            ("**", ["LIST"]),
            ("d/a.json", ["HEAD"]),
            ("d", ["HEAD", "LIST"]),
        ],
    )
    def test_nothing_is_listed_twice(self, s3: FakeS3, pattern: str, kinds: list[str]) -> None:
        """A listing says all about its files, and also whether one is called like the pattern."""
        fill(ROOT, "d/a.json", "d/b.json")
        s3.requests.clear()
        assert len(matched(ROOT, pattern)) >= 1
        assert ["LIST" if "list-type" in path else method for method, path in s3.requests] == kinds

    def test_long_lists_come_in_pages(self, s3: FakeS3) -> None:
        """And all of them."""
        for number in range(25):
            s3.put(f"d/{number:02}", b"x")
        s3.page = 10
        assert len(storage.list_files(f"{ROOT}/d")) == 25
        assert len(s3.requests) == 3

    def test_objects_are_deleted_a_thousand_at_a_time(self, s3: FakeS3) -> None:
        """One request for each would take minutes."""
        for number in range(1500):
            s3.put(f"d/{number}", b"x")
        storage.delete_tree(f"{ROOT}/d")
        assert s3.objects == {}
        assert [method for method, _ in s3.requests].count("POST") == 2

    def test_a_range_is_fetched_ahead_and_no_more_than_it(self, s3: FakeS3) -> None:
        """A reader waits once; the bytes that come are those of the range."""
        s3.put("a", CONTENT)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.storage.readers.REQUEST_BYTES", 100_000)
            patch.setattr("pipeline.storage.readers._AHEAD_BYTES", 200_000)
            with storage.open_read(f"{ROOT}/a", 1000, 555_000) as file:
                file.read(10)
                first = len(s3.ranges)
                while file.read(30_000):
                    pass
        assert first <= 3
        assert sorted(s3.ranges) == [
            (start, min(start + 100_000, 555_000)) for start in range(1000, 555_000, 100_000)
        ]

    def test_lines_are_read_from_what_was_fetched(self, s3: FakeS3) -> None:
        """A file of many lines is fetched once.

        Seen to fail when a line that began in what was fetched had the next 64 KiB fetched, too: a
        report read a file of dead letters 29 times.
        """
        lines = [b"%0400d\n" % number for number in range(500)]
        s3.put("a", b"".join(lines))
        with storage.open_read(f"{ROOT}/a") as file:
            assert list(file) == lines
        assert len(s3.ranges) <= 6

    def test_the_next_ranges_are_fetched_while_one_is_read(self, s3: FakeS3) -> None:
        """A block of many small files does not wait for each of them.

        Seen to fail with each range opened when its turn comes.
        """
        for number in range(40):
            s3.put(str(number), bytes(1000))
        ranges = storage.open_ranges((f"{ROOT}/{n}", 0, 1000) for n in range(40))
        next(ranges)
        deadline = time.monotonic() + 10
        while len(s3.ranges) < REQUESTS and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(s3.ranges) in (REQUESTS, REQUESTS + 1)
        assert len(list(ranges)) == 39

    def test_parquet_takes_as_few_requests_as_it_has_row_groups(self, s3: FakeS3) -> None:
        """One for the footer and what is near it, one for the columns of a row group."""
        rows = 40_000
        table = pa.table(
            {name: [random.Random(n).randbytes(20).hex() for n in range(rows)] for name in "abc"}
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=rows // 4, use_dictionary=False)
        s3.put("a", sink.getvalue().to_pybytes())
        assert len(s3.objects["a"]) > 4 << 20

        with storage.open_read(f"{ROOT}/a") as stream:
            parquet = live_rows.open_parquet(stream)
            assert parquet.num_row_groups == 4
            assert len(s3.requests) == 1
            for group in range(3):
                assert parquet.read_row_group(group).num_rows == rows // 4
        assert [method for method, _ in s3.requests] == ["GET"] * 4

    def test_parts_that_lie_close_are_one_request(self, s3: FakeS3) -> None:
        """Others are not: the bytes between them cost more than a request."""
        content = random.Random(7).randbytes(3 << 20)
        s3.put("a", content)
        wanted = [(0, 500_000), (500_000, 500_000), (1_030_000, 500_000), (3_000_000, 100)]
        parts = [storage.Part(f"{ROOT}/a", *place) for place in wanted]
        found = [bytes(part) for part in storage.read_parts(parts)]
        assert found == [content[start : start + size] for start, size in wanted]
        assert sorted(s3.ranges) == [(0, 1_530_000), (3_000_000, 3_000_100)]

    def test_the_end_of_a_file_comes_with_its_size(self, s3: FakeS3) -> None:
        """Parquet asks for the size, then for the footer; a small file is here then."""
        s3.put("a", CONTENT)
        with storage.open_read(f"{ROOT}/a") as file:
            file.seek(-8, io.SEEK_END)
            assert file.read() == CONTENT[-8:]
            file.seek(-500_000, io.SEEK_END)
            assert file.read(400_000) == CONTENT[-500_000:-100_000]
            file.seek(0)
            assert file.read() == CONTENT
        assert len(s3.requests) == 2
        assert sum(end - start for start, end in s3.ranges) == len(CONTENT)
