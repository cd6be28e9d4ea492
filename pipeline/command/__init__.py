"""What a person types and sees: options, runs, reports, signals, exit codes.

In the order in which a command passes them: `console`, `options`, `beam_options`, `runners`,
`runner_checks`, `explain`, `one_table`, `job`, `watch`, `attempts`, `run_progress` and `progress`
(what is shown while it works), `reasons`, `report` with `field_names`, `report_file`, `page`;
`stopped` clears up after a signal.
"""
