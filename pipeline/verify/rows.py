"""The rows of a data file, checked by themselves; see `verify`."""

import datetime
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline import storage
from pipeline.rows import live_rows

_COLUMNS = {
    "event_id": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
    "nanos": pa.int16(),
    "data": pa.string(),
    "extra": pa.string(),
}
_PROVENANCE = {"source_file": pa.string(), "run": pa.string()}
# A run's id, then 16 hexadecimal digits.
_OURS = re.compile(r"part-\d{8}T\d{6}-[0-9a-f]{6}-[0-9a-f]{16}(\.parquet)?")
# Most Delta tools cut the timestamps in the log to milliseconds, the last one of a file, too.
_CUT_MICROS = 999
_REQUIRED = ("event_id", "timestamp", "nanos", "data")
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
_DAY_MICROS = 86_400_000_000
_BATCH_ROWS = 1 << 16  # about 16 MB
LOWER_HALF = (1 << 64) - 1
_JSON = msgspec.json.Decoder(msgspec.Raw)
_JSON_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])

Hashes = npt.NDArray[np.uint64]


class Live(NamedTuple):
    """A live file as the log describes it; None for what the log does not say.

    Attributes:
        path: Its place, relative to the table.
        bytes: Its size.
        rows: How many rows it has.
        values: The partition columns' values.
        first: Its earliest timestamp, in microseconds since 1970.
        last: Its latest timestamp.
        provenance: Whether the table keeps where each row came from.
    """

    path: str
    bytes: int
    rows: int | None
    values: tuple[Any, ...]
    first: int | None
    last: int | None
    provenance: bool = False

    @property
    def ours(self) -> bool:
        """Tells whether the job has made it, and not another Delta tool."""
        return is_ours(self.path)


class Content(NamedTuple):
    """What a live file really has.

    Attributes:
        rows: How many rows it has.
        digest: The sum of the rows' hashes.
        id_hashes: The hashes of the rows' event_ids.
        row_hashes: The lower halves of the rows' hashes, if the table is compared; else empty.
        findings: What is wrong with the rows.
    """

    rows: int
    digest: int
    id_hashes: Hashes
    row_hashes: Hashes
    findings: list[str]


def is_ours(path: str) -> bool:
    """Tells whether a data file is called as the job calls its own."""
    return _OURS.fullmatch(path.rpartition("/")[2]) is not None


def batches(root: str, file: Live) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a file, some at a time; in our columns, whoever has written it."""
    columns = _COLUMNS | (_PROVENANCE if file.provenance else {})
    with storage.open_read(storage.join(root, file.path)) as stream:
        parquet = live_rows.open_parquet(stream)
        if not file.ours:
            for rows in live_rows.batches(parquet, list(columns), _BATCH_ROWS):
                yield from rows.to_batches()
            return
        schema = parquet.schema_arrow
        if dict(zip(schema.names, schema.types, strict=True)) != columns:
            raise pa.ArrowInvalid(f"its columns are not {', '.join(columns)} but {schema}")
        yield from parquet.iter_batches(_BATCH_ROWS)


class _Faults(dict[str, tuple[int, str]]):
    """Broken rules, each with the number of rows and the first of their event_ids."""

    def add(self, rule: str, ids: pa.Array, wrong: npt.NDArray[np.bool_]) -> None:
        """Adds the rows that are wrong."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            count, first = self.get(rule, (0, repr(ids[int(rows[0])].as_py())))
            self[rule] = (count + len(rows), first)


def check_file(root: str, file: Live, compared: bool = False) -> Content:
    """Finds out what is in a file, and what is wrong with it.

    Args:
        root: The table.
        file: The file.
        compared: Whether to keep the hashes of its rows.
    """
    faults = _Faults()
    rows = digest = 0
    id_hashes: list[Hashes] = [np.empty(0, np.uint64)]
    lower_halves: list[Hashes] = [np.empty(0, np.uint64)]
    limits = np.iinfo(np.int64)
    first, last = int(limits.max), int(limits.min)
    for batch in batches(root, file):
        batch.validate(full=True)  # that text is UTF-8
        rows += len(batch)
        hashes = hash_rows(file, batch)
        digest += sum(hashes)
        lower = np.array([number & LOWER_HALF for number in hashes if compared], np.uint64)
        before = last
        times = batch["timestamp"].drop_null().cast(pa.int64()).to_numpy()
        if len(times):
            first, last = min(first, int(times.min())), max(last, int(times.max()))
        for name in _REQUIRED:
            missing = batch[name].is_null().to_numpy(zero_copy_only=False)
            faults.add(f"{name} is null", batch["event_id"], missing)
            batch = batch.filter(pa.array(~missing))
            lower = lower[~missing] if compared else lower
        lower_halves.append(lower)
        if file.provenance:  # both are null in rows that another tool has written
            one, other = (batch[name].is_null() for name in _PROVENANCE)
            half = pc.xor(one, other).to_numpy(zero_copy_only=False)
            faults.add("only one of source_file and run is null", batch["event_id"], half)
        id_hashes.append(hash_ids(batch["event_id"]))
        _check_rows(file, batch, before, faults)
    findings = [
        f"{file.path}: {rule} (rows: {count:,}; the first has event_id {event_id})"
        for rule, (count, event_id) in faults.items()
    ]
    if file.rows is not None and file.rows != rows:
        findings.append(f"{file.path}: {rows:,} rows, the log says {file.rows}")
    if first <= last:
        findings += _untrue_times(file, first, last)
    return Content(rows, digest, np.concatenate(id_hashes), np.concatenate(lower_halves), findings)


def _untrue_times(file: Live, first: int, last: int) -> Iterator[str]:
    """Yields where the log is wrong about a file's timestamps.

    For files of another tool it only has to bound them (Delta protocol, "Per-file Statistics").
    """
    for what, found, said, outside in (
        ("first", first, file.first, file.first is not None and first < file.first),
        ("last", last, file.last, file.last is not None and last > file.last + _CUT_MICROS),
    ):
        if outside or (file.ours and said is not None and found != said):
            yield (
                f"{file.path}: its {what} timestamp is {found} microseconds after 1970,"
                f" the log says {said}"
            )


def _check_rows(file: Live, rows: pa.RecordBatch, before: int, faults: _Faults) -> None:
    """Checks rows without nulls; `before` is the latest timestamp of the rows before them."""
    micros = rows["timestamp"].cast(pa.int64()).to_numpy()
    ids = rows["event_id"]
    faults.add("event_id is empty", ids, pc.equal(ids, "").to_numpy(zero_copy_only=False))
    earlier = np.concatenate([[before], micros])[:-1]
    if file.ours:
        faults.add("not sorted by timestamp", ids, micros < earlier)
    days = micros // _DAY_MICROS
    date = "-".join(str(value).zfill(2) for value in file.values[2:])
    try:
        day = datetime.date(*file.values[2:]).toordinal() - _EPOCH_DAY
    except (TypeError, ValueError):
        day = None
    faults.add(f"not of the UTC date of its partition, {date}", ids, days != day)
    nanos = rows["nanos"].to_numpy()
    faults.add("nanos is not 0 to 999", ids, (nanos < 0) | (nanos > 999))
    faults.add("data is not JSON", ids, _not_json(rows["data"].to_pylist(), _JSON))
    if rows["extra"].null_count < len(rows):
        extras = ["{}" if text is None else text for text in rows["extra"].to_pylist()]
        faults.add("extra is not a JSON object", ids, _not_json(extras, _JSON_OBJECT))


def _not_json(texts: Sequence[str], decoder: msgspec.json.Decoder[Any]) -> npt.NDArray[np.bool_]:
    wrong = np.zeros(len(texts), bool)
    for row, text in enumerate(texts):
        try:
            decoder.decode(text)
        except msgspec.MsgspecError:
            wrong[row] = True
    return wrong


def hash_rows(file: Live, rows: pa.RecordBatch) -> list[int]:
    """Returns the hashes of rows; see `check`."""
    micros = rows["timestamp"].cast(pa.int64()).to_pylist()
    columns = [rows[name].to_pylist() for name in ("event_id", "nanos", "data", "extra")]
    domain, event_type = file.values[:2]
    texts = (
        msgspec.json.encode((event_id, time, nanos, domain, event_type, data, extra))
        for event_id, nanos, data, extra, time in zip(*columns, micros, strict=True)
    )
    return list(map(xxhash.xxh3_128_intdigest, texts))


def hash_ids(ids: pa.Array) -> Hashes:
    """Returns a 64-bit hash of each event_id."""
    encoded = map(str.encode, ids.to_pylist())
    return np.fromiter(map(xxhash.xxh3_64_intdigest, encoded), np.uint64, len(ids))
