"""Versions: what decides between events with the same event_id, and where each event lies.

Versions are what is shuffled, so they are packed: 40 bytes each, whatever the event. On an engine,
these bytes travel. Where one process does all the shuffling (Beam's local runner copies what it
shuffles a dozen times), they are stored in a local folder (`bookkeeping.scratch`), and only their
file and position in it travel.
"""

import contextlib
import itertools
import os
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline import storage

# How files of stored versions are called.
SUFFIX = ".versions"
# A hash of the event_id (128 bits), microseconds since 1970, digest, and where the event lies.
VERSION = np.dtype(
    [
        ("id_high", "<u8"),
        ("id_low", "<u8"),
        ("timestamp", "<i8"),
        ("digest", "<i8"),
        ("location", "<i8"),
    ]
)

# n versions: of dtype `VERSION`, shape (n,).
Versions = npt.NDArray[np.void]

NONE: Versions = np.empty(0, VERSION)

# 10 MB: an element that every runner shuffles.
_ELEMENT_VERSIONS = 1 << 18

# A location is the number of an origin (a live file, or a block) and a row in it, in one integer.
# Live files are numbered from 0 and blocks from here: 67 million of each (2 PB of input), with 69
# billion rows in each.
FIRST_BLOCK = 1 << 26
_ROW_BITS = 36


def pack(
    id_hashes: Sequence[npt.NDArray[np.uint64]] | npt.NDArray[np.uint64],
    micros: npt.NDArray[np.int64],
    digests: npt.NDArray[np.int64],
    locations: npt.NDArray[np.int64],
) -> Versions:
    """Makes versions of n events.

    Args:
        id_hashes: From `events.hash_ids`, shape (2, n).
        micros: Microseconds since 1970, shape (n,).
        digests: Shape (n,).
        locations: From `locate`, shape (n,).
    """
    found = np.empty(len(locations), VERSION)
    columns = (*id_hashes, micros, digests, locations)
    for name, values in zip(VERSION.names or (), columns, strict=True):
        found[name] = values
    return found


class Stored(NamedTuple):
    """Packed versions in a local file.

    Attributes:
        path: The file.
        first: The index of the first one in it.
        number: How many there are.
    """

    path: str
    first: int
    number: int


# Versions as they travel.
Packed = bytes | Stored


class Bucketed(NamedTuple):
    """Versions ordered by the bucket of their event_id.

    Attributes:
        packed: All of them.
        counts: How many belong to bucket 0, 1, and so on.
    """

    packed: Packed
    counts: list[int]

    def split(self) -> Iterator[tuple[int, Packed]]:
        """Yields each bucket that has versions, with them; again where they are many."""
        for bucket, end in enumerate(itertools.accumulate(self.counts)):
            for first in range(end - self.counts[bucket], end, _ELEMENT_VERSIONS):
                yield bucket, self._some(first, min(first + _ELEMENT_VERSIONS, end))

    def _some(self, first: int, end: int) -> Packed:
        if isinstance(self.packed, Stored):
            return Stored(self.packed.path, first, end - first)
        return self.packed[first * VERSION.itemsize : end * VERSION.itemsize]


def by_bucket(versions: Versions, buckets: int, directory: str = "") -> Bucketed:
    """Orders versions by the bucket of their event_id.

    Args:
        versions: The versions.
        buckets: How many buckets there are.
        directory: A local directory to store the versions in; "" packs them into bytes, and so does
            a directory that has no room for them.
    """
    counts = [len(versions)]
    if buckets > 1:
        bucket = versions["id_high"] % np.uint64(buckets)
        # numpy sorts small integers by radix, which is several times faster.
        bucket = bucket.astype(np.int16 if buckets < 1 << 15 else np.int32)
        versions = versions[np.argsort(bucket, kind="stable")]
        counts = np.bincount(bucket).tolist()
    if not directory or not len(versions):
        return Bucketed(versions.tobytes(), counts)
    path = os.path.join(storage.local(directory), f"{uuid.uuid4().hex}{SUFFIX}")
    try:
        # Unlike `storage.write_new`, a worker that ends late must not make the directory again.
        with open(path, "xb") as file:
            file.write(versions.data)
    except OSError:  # mostly there is no room left; then they are returned
        with contextlib.suppress(OSError):
            os.unlink(path)
        return Bucketed(versions.tobytes(), counts)
    return Bucketed(Stored(path, 0, len(versions)), counts)


def count(packed: Packed) -> int:
    """Returns how many versions there are in a part."""
    return packed.number if isinstance(packed, Stored) else len(packed) // VERSION.itemsize


def unpack(parts: Sequence[Packed]) -> Versions:
    """Returns packed versions as one array, in order.

    Raises:
        OSError: A file that they are stored in is missing, or has lost its end.
    """
    counts = [count(part) for part in parts]
    found = np.empty(sum(counts), VERSION)
    first = 0
    for part, number in zip(parts, counts, strict=True):
        place = found[first : first + number]
        if isinstance(part, Stored):
            with open(storage.local(part.path), "rb") as file:
                file.seek(part.first * VERSION.itemsize)
                if file.readinto(place.data) < place.nbytes:
                    raise OSError(f"{part.path} ends too early: it has lost versions")
        else:
            place[:] = np.frombuffer(part, VERSION)
        first += number
    return found


def locate(origin: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns the locations of rows of an origin: a live file or a block, by its number."""
    return (np.int64(origin) << _ROW_BITS) | rows


def origins_of(locations: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns the number of the origin of each location."""
    return locations >> _ROW_BITS


def rows_of(locations: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns the row, in its origin, of each location."""
    return locations & ((1 << _ROW_BITS) - 1)
