"""Which versions are superseded: the total order at the heart of the job.

The latest version of an event_id is the greatest by (timestamp, digest). Versions equal in both
have the same content, so which of them stays makes no difference to the table; the one with the
smallest `where` does, which is the one in a live file if there is one.
"""

import numpy as np
import numpy.typing as npt
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
    ids = versions["event_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    # Only the ids that occur twice take part in the sort: they are few.
    rows = np.flatnonzero((np.bincount(ids) > 1)[ids]) if len(ids) else ids
    ids = ids[rows]
    timestamps = _int64(versions, "timestamp")[rows]
    digests = _int64(versions, "digest")[rows]
    where = _int64(versions, "where")[rows]

    # Ascending by (id, timestamp, digest), equal ones by descending `where`: of each id the last
    # row is the latest, and a row followed by its equal only repeats it.
    order = np.lexsort((-where, digests, timestamps, ids))
    ids, timestamps, digests, where = ids[order], timestamps[order], digests[order], where[order]
    loses = ids[:-1] == ids[1:]
    exact = loses & (timestamps[:-1] == timestamps[1:]) & (digests[:-1] == digests[1:])
    loses &= ~(exact & (where[:-1] == where[1:]))
    losers = np.flatnonzero(loses)
    losers = losers[np.argsort(where[losers])]
    return pa.Table.from_arrays(
        [pa.array(where[losers]), pa.array(exact[losers])], schema=SUPERSEDED_SCHEMA
    )


def _int64(table: pa.Table, column: str) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = table[column].cast(pa.int64()).to_numpy()
    return values
