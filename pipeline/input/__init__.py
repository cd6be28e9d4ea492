"""From files to typed events.

The modules, in the order in which a file's bytes pass them:

- `sources`: which files are read
- `blocks`: which of their bytes are read together
- `streams`: reads the bytes of a block, part by part
- `sniff`: what kind of file it is: its encoding, or plainly no JSON
- `compression`: decompresses it, with `zstd` for one of the compressions
- `decoding`: decodes a part: events and rejects
- `stretches`: decodes many records in one call, for `decoding`
- `fields`: where in a record the fields of an event are, if they are called otherwise
- `nested`: decodes many records in one call, where fields lie in objects of a record
- `records`: decodes one record: an event, or what is wrong with it
- `timestamps`: parses the timestamps of many events at once
- `contracts`: checks `data` against JSON Schemas
- `events`: makes a typed table of the events
- `counts`: what each file had
- `rejects`: reasons for rejects, and the dead letters written for them

The package `framing` finds where a record ends.
"""
