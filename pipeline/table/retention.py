"""How long what is no longer live stays. Imports nothing: the options need it before all else."""

LOG_DAYS = 7
"""How long the log remembers past versions; older entries go when a checkpoint covers them."""

ABANDONED_SECONDS = 7 * 86_400.0
"""Longer than any run takes; until then the files of a run that died stay where they are."""
