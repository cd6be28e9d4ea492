"""What a table has in `data`, and SQL to ask for it: the commands ``catalogue`` and ``views``.

`known` (the catalogue that runs have kept, or one of the whole table), `whole` (looks at every row,
on all cores), `fields` (a catalogue as it is shown), `text` (for people), `schemas` (JSON Schemas
as files), `columns` (what becomes a column of a view), `dialects` (how the engines write it),
`views` (the views), `arguments` (the options that both commands have), `catalogue_command` and
`views_command` (the commands).
"""
