"""What a run keeps beside the table, and what the next run does with it.

`places` (the folders), `scratch` (the local one for keys), `leases` (which runs are alive), `locks`
(how the system tells that), `claims` (what of a dead run's lease is believed), `summary` (what a
run has done), `journal` (its summary, dead letters and catalogue), `catalogues` (what is in
`data`), `dead_letters` (the first of each reason), `ledger` (which files were published),
`listings` (lists of files), `recovery` (what dead runs have left), `state` (damage in all of
these).
"""
