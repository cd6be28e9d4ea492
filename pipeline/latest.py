"""Which versions are superseded: the total order at the heart of the job.

Versions are of one event if the hashes of their event_ids are equal: 128 bits, seeded anew for each
run, so that two ids fall together neither by chance (1 in 10^20 among a billion) nor by design.

The latest version of an event is the greatest by (timestamp, digest). Versions equal in both have
the same content, so which of them stays makes no difference to the table; the one with the smallest
`where` does, which is the one in a live file if there is one.
"""

import numpy as np
import pyarrow as pa

SUPERSEDED_SCHEMA = pa.schema([("where", pa.int64()), ("exact", pa.bool_())])


def superseded(versions: pa.Table) -> pa.Table:
    """Finds the versions that are not the latest of their event_id.

    Args:
        versions: A table of `staging.VERSION_SCHEMA`: all versions of some event_ids, in any order.
            One that occurs twice, `where` included, counts once.

    Returns:
        A table of `SUPERSEDED_SCHEMA`, sorted by `where`. `exact` marks those that only repeat
        another version, of the same event_id, timestamp and digest.
    """
    codes = versions["id_low"].combine_chunks().dictionary_encode().indices.to_numpy()
    # Only the ids that occur twice take part in the sort: they are few.
    rows = np.flatnonzero((np.bincount(codes) > 1)[codes]) if len(codes) else codes
    low, high, timestamps, digests, where = (
        versions[name].to_numpy()[rows]
        for name in ("id_low", "id_high", "timestamp", "digest", "where")
    )

    # Ascending by (id, timestamp, digest), equal ones by descending `where`: of each id the last
    # row is the latest, and a row followed by its equal only repeats it.
    order = np.lexsort((-where, digests, timestamps, high, low))
    low, high, timestamps, digests, where = (
        values[order] for values in (low, high, timestamps, digests, where)
    )
    loses = (low[:-1] == low[1:]) & (high[:-1] == high[1:])
    exact = loses & (timestamps[:-1] == timestamps[1:]) & (digests[:-1] == digests[1:])
    loses &= ~(exact & (where[:-1] == where[1:]))
    losers = np.flatnonzero(loses)
    losers = losers[np.argsort(where[losers])]
    return pa.Table.from_arrays(
        [pa.array(where[losers]), pa.array(exact[losers])], schema=SUPERSEDED_SCHEMA
    )
