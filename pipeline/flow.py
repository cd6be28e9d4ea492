"""The whole graph, on one screen.

Keys travel through Beam; payloads travel through storage. An event's payload is staged once beside
the others of its destination, and read back once by whoever writes that destination. What Beam
shuffles is only what decides which version is the latest.
"""

import apache_beam as beam

from pipeline.bookkeeping.summary import RunSummary
from pipeline.graph import combiners, tags
from pipeline.graph import transforms as do
from pipeline.run import Run


def build(
    pipeline: beam.Pipeline, run: Run, workers: int = 0, scratch: str = ""
) -> beam.PCollection[RunSummary]:
    """Builds the job's graph.

    Args:
        pipeline: An empty pipeline.
        run: What is asked for.
        workers: How many cores a transform uses by itself; 0 if the runner spreads the work.
        scratch: A local folder for versions, where one process would shuffle all of them; "" if
            they are to be shuffled.

    Returns:
        One element: the summary of the run, once it is published.
    """
    plan = pipeline | beam.Create([run]) | "plan" >> do.Plan()

    # Read JSON lines; stage the payloads; key the rest by the event_id's bucket.
    read = plan[tags.READS] | "read" >> do.Read(run, workers, scratch)

    # Rows that the table already has of these event_ids are versions like any other.
    delivery = (
        read[tags.DELIVERY_KEYS]
        | "delivery keys"
        >> beam.CombineGlobally(combiners.CombineDeliveryKeys()).without_defaults()
    )
    scan = plan[tags.SCANS] | "scan" >> do.Scan(run, workers, delivery)

    # Combine per key to the latest.
    versions = (read[tags.VERSIONS], scan[tags.VERSIONS]) | "versions" >> beam.Flatten()
    latest = versions | "latest" >> do.Latest(run, workers)

    # Route by domain, event_type and date; what is large is cut into several shards.
    cuts = (
        read[tags.WEIGHTS]
        | "large destinations"
        >> beam.CombineGlobally(combiners.CombineWeights(run)).without_defaults()
    )
    origins = {
        tags.SLICES: read[tags.SLICES],
        tags.LIVE: scan[tags.LIVE],
        tags.ROWS: latest[tags.ROWS],
    }
    route = origins | "route" >> do.Route(run, cuts)

    # Write Parquet to dynamic destinations, without the rows that are superseded.
    write = route[tags.ROWS] | "write" >> do.Write(run, workers)

    # Know what is in `data`, by a sample.
    catalogue = (
        read[tags.CATALOGUES]
        | "catalogue" >> beam.CombineGlobally(combiners.CombineCatalogues()).without_defaults()
    )

    # Check that all counts agree; publish everything in one commit.
    steps = (plan, read, scan, latest, route, write)
    tallies = [step[tags.TALLIES] for step in steps] | "tallies" >> beam.Flatten()
    outcome = {
        tags.PLAN: plan[tags.PLAN],
        tags.TALLIES: tallies,
        tags.WRITTEN: write[tags.WRITTEN],
        tags.REJECTS: read[tags.REJECTS],
        tags.CATALOGUES: catalogue,
    }
    return outcome | "commit" >> do.Commit(run)
