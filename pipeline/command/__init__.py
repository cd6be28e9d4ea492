"""What a person types and sees: options, runs, reports, signals, exit codes.

In the order in which a command passes them: `console`, `options`, `explain`, `runners`, `job`,
`watch`, `attempts`, `reasons`, `report`; `stopped` clears up after a signal.
"""
