"""From files to typed events, in the order in which a file's bytes pass the modules.

`sources` (which files), `blocks` (which bytes are read together), `streams`, `compression`, `sniff`
(from stored bytes to text), `decoding`, `runs`, `records` (events, or what is wrong with a record),
`timestamps`, `events` (a typed table), `rejects` (dead letters). Where a record ends is told by
`framing`, a package of its own.
"""
