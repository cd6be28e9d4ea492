"""The whole graph, on one screen.

Keys travel through Beam; payloads travel through storage. An event's payload is staged once beside
the others of its destination, and read back once by whoever writes that destination. What Beam
shuffles is only what decides which version is the latest.
"""

import apache_beam as beam

from pipeline import transforms as do
from pipeline.plan import Run


def build(pipeline: beam.Pipeline, run: Run, workers: int = 0) -> beam.PCollection:
    """Builds the job's graph.

    Args:
        pipeline: An empty pipeline.
        run: What is asked for.
        workers: How many cores a transform uses by itself; 0 if the runner spreads the work.

    Returns:
        One element: the record of the run, once it is published.
    """
    plan = (
        pipeline
        | "run" >> beam.Create([run])
        | "plan" >> beam.ParDo(do.PlanRun()).with_outputs(do.READS, do.SCANS, do.TALLIES, main="plan")
    )

    # Read JSON lines, stage the payloads, key the versions by (the bucket of) their event_id.
    read = (
        plan[do.READS]
        | "spread blocks" >> beam.Reshuffle()
        | "read" >> beam.ParDo(do.ReadBlocks(run, workers)).with_outputs(
            do.STAGED, do.SEEN, do.REJECTED, do.TALLIES, main="versions")
    )

    # What the table already has of these event_ids are versions like any other.
    seen = read[do.SEEN] | "ids seen" >> beam.CombineGlobally(do.CombineSeen())
    scan = (
        plan[do.SCANS]
        | "spread live files" >> beam.Reshuffle()
        | "scan" >> beam.ParDo(
            do.ScanLiveFiles(run, workers), beam.pvalue.AsSingleton(seen)
        ).with_outputs(do.TALLIES, main="versions")
    )

    # Combine per key to the latest.
    latest = (
        (read["versions"], scan["versions"])
        | "all versions" >> beam.Flatten()
        | "latest" >> beam.CombinePerKey(do.CombineLatest())
        | "superseded" >> beam.ParDo(do.SplitSuperseded()).with_outputs(do.TALLIES, main="rows")
    )

    # Route by domain, event_type and date; write Parquet, without what is superseded.
    route = (
        {
            "staged": read[do.STAGED],
            "live": plan[do.SCANS] | "by number" >> beam.Map(lambda task: (task.number, task.file)),
            "superseded": latest["rows"],
        }
        | "join superseded" >> beam.CoGroupByKey()
        | "route" >> beam.ParDo(do.RouteRows()).with_outputs(do.TALLIES, main="rows")
    )
    write = (
        route["rows"]
        | "by destination" >> beam.GroupByKey()
        | "write" >> beam.ParDo(do.WriteDestinations(run, workers)).with_outputs(
            do.TALLIES, main="written")
    )

    # Check that all counts agree, and publish everything in one commit.
    tallies = (
        plan[do.TALLIES], read[do.TALLIES], scan[do.TALLIES],
        latest[do.TALLIES], route[do.TALLIES], write[do.TALLIES],
    ) | "all tallies" >> beam.Flatten()
    return (
        {
            "plan": plan["plan"] | "the plan" >> beam.WithKeys(0),
            "tallies": tallies | "the tallies" >> beam.WithKeys(0),
            "written": write["written"] | "the files" >> beam.WithKeys(0),
            "dead_letters": read[do.REJECTED] | "the rejects" >> beam.WithKeys(0),
        }
        | "the outcome" >> beam.CoGroupByKey()
        | "commit" >> beam.ParDo(do.Publish(run))
    )
