"""Where a record ends, in text of any framing, whole or damaged.

`borders` (places that are certain), `view` (what is seen of a file), `values` (ends of good
values), `structure` (strings and brackets), `walk` (from record to record), `record_end` (which of
these finds the end), `damage` (the rules for damaged records), `damage_scan` (applies them),
`garbage` (what is no record at all), `skipped` (records too large to be kept).
"""
