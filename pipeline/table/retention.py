"""How long what is no longer live stays. Imports nothing: the options need it before all else."""

# How long the log remembers past versions; older entries go when a checkpoint covers them.
LOG_DAYS = 7

# Longer than any run takes. Where no lease tells that a run has died, its files stay for this long.
ABANDONED_SECONDS = 7 * 86_400.0
