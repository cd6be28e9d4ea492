"""What an index of keys would read for a delivery: a simulation behind docs/decisions/17.

An entry is a 64-bit hash of an event_id and 8 bytes that say where the event lies (its day and
type). Entries are sorted by hash, so a lookup reads the pages that its hashes fall in. Half of a
delivery's ids are new, the other half are in the table.

Run it with ``python -m benchmarks.key_index [ROWS]``; 100 million rows take 1 GB of memory.
"""

import sys
import time

import numpy as np
import numpy.typing as npt

_ENTRY_BYTES = 16
_PAGE_BYTES = 16 << 10
# Pages this close are read in one request: at 100 MB/s that costs less than 30 ms of latency.
_GAP_PAGES = (256 << 10) // _PAGE_BYTES


def pages_of(
    hashes: npt.NDArray[np.uint64], fences: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Returns the pages that some hashes fall in, ascending.

    Args:
        hashes: The hashes that are looked up.
        fences: The first hash of each page.
    """
    return np.unique(np.maximum(np.searchsorted(fences, hashes, "right") - 1, 0))


def requests(pages: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Returns the number of requests for some pages, and their bytes, if near pages go together."""
    gaps = np.diff(pages)
    near = gaps <= _GAP_PAGES
    return 1 + int(np.sum(~near)), _PAGE_BYTES * (len(pages) + int(np.sum(gaps[near] - 1)))


def main(rows: int) -> None:
    """Prints, for deliveries of several sizes, what a lookup in an index of `rows` keys reads."""
    random = np.random.default_rng(1)
    keys = np.sort(random.integers(0, 1 << 63, rows, dtype=np.uint64))
    fences = keys[:: _PAGE_BYTES // _ENTRY_BYTES]
    print(f"index of {rows:,} keys: {rows * _ENTRY_BYTES / 1e6:,.0f} MB")
    print("| delivered | pages | MB | requests, near pages together | MB | CPU s |")
    print("|--:|--:|--:|--:|--:|--:|")
    for delivered in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        new = random.integers(0, 1 << 63, delivered // 2, dtype=np.uint64)
        hashes = np.sort(np.concatenate([random.choice(keys, delivered - delivered // 2), new]))
        started = time.process_time()
        pages = pages_of(hashes, fences)
        at = np.minimum(np.searchsorted(keys, hashes), rows - 1)
        found = int(np.sum(keys[at] == hashes))
        seconds = time.process_time() - started
        if found < delivered - delivered // 2:
            raise AssertionError(f"the index has lost keys: {found:,} of {delivered:,} found")
        number, read = requests(pages)
        print(
            f"| {delivered:,} | {len(pages):,} | {len(pages) * _PAGE_BYTES / 1e6:,.1f}"
            f" | {number:,} | {read / 1e6:,.1f} | {seconds:.2f} |"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000_000)
