"""What a run keeps beside the table, and what the next run does with it.

`places` (the folders), `alive` (which runs are), `journal` (a run's record and dead letters),
`ledger` (which files were published), `leftovers` (what dead runs have left), `state` (damage in
all of these).
"""
