"""What a run keeps beside the table, and what the next run does with it.

`places` (the folders), `leases` (which runs are alive), `summary` (what a run has done), `journal`
(its summary and dead letters), `dead_letters` (the first of them), `ledger` (which files were
published), `recovery` (what dead runs have left), `state` (damage in all of these).
"""
