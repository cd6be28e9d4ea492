"""The steps of a run, one module each, as plain functions: they know nothing of Beam.

In the order of the graph: `plan`, `read` (it needs `decode`), `scan`, `latest`, `route`, `write`,
`commit` (it needs `outcome`, `checks`, `summing_up`). `sizes` says how the work is divided, and
`tally` what each step has counted.
"""
