"""A delivery into a Delta table: ``python -m benchmarks.peers.with_delta_merge SOURCE TABLE``.

SOURCE is a Parquet file with the latest version of each event of the delivery, in the table's
columns: parsing JSON and looking for duplicates within the delivery are left out.
"""

import sys

import pyarrow.parquet as pq
from deltalake import DeltaTable

_NEWER = "source.timestamp > target.timestamp"


def main(source: str, table: str) -> None:
    """Merges the events of `source` into `table`."""
    (
        DeltaTable(table)
        .merge(
            pq.read_table(source),
            predicate="target.event_id = source.event_id",
            source_alias="source",
            target_alias="target",
        )
        .when_matched_update_all(predicate=_NEWER)
        .when_not_matched_insert_all()
        .execute()
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
