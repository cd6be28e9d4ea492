"""The independent check of a table.

`check` (the command, and what holds for the whole table), `files` (names, sizes, folders), `rows`
(the rows of one file). What the table must hold: `plain_files` (the records of an input file),
`plain_rows` (what becomes of a record), `expected` (the latest versions, by these or by answers),
`compare` (where the table differs).
"""
