"""The page: what a table is, and what its runs did, in one HTML file that needs nothing else.

`gather` reads what is known (the log, the summaries of runs, the first dead letters). Of it come
figures, each by a pure function: `heat` (events by type and day), `delays` (how late events come),
`history` (run by run), `refused` (rejects), `health` (files), `contents` (fields of `data`);
`figures` puts them together. `words` says how values are written. `flow` and `strips` draw
pictures. `build` fills the template, whose two files lie beside it, and writes the page.
"""
