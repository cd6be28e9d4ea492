"""The steps of a run, one module each, as plain functions: they know nothing of Beam.

In the order of the graph: `plan`, `read`, `scan`, `latest`, `write`, `publish`. `tally` is what
each of them counts, and `batches` gathers what one call takes.
"""
