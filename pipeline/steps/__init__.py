"""The steps of a run, one module each, as plain functions: they know nothing of Beam.

In the order of the graph: `plan`, `read`, `scan`, `latest`, `route`, `write`, `commit`. `sizes`
says how the work is divided, and `tally` what each step has counted.
"""
