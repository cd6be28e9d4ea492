"""The independent check of a table.

`check` (the command, and what holds for the whole table), `files` (names, sizes, folders), `rows`
(the rows of one file).
"""
