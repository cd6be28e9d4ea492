"""Where a record ends, in text of any framing, whole or damaged.

The modules, each with the question that it answers:

- `borders`: which places are certain to lie between two records?
- `walk`: where does the next record begin, from record to record?
- `record_end`: where does the record end that begins here? It asks the modules below.
- `values`: where does a well-formed JSON value end?
- `damage`: where does a damaged record end? The rules.
- `damage_scan`: the same; it goes through the text, and asks the rules where they may apply.
- `structure`: which brackets and strings does a large text have?
- `garbage`: where does text end that begins like no JSON value?
- `skipped`: where does a record end that is too large to be kept?
- `view`: what is known of the file around a place?

A place is an offset in the bytes at hand.

A record that is cut off, because its writer died, say, is a damaged one: `record_end` notices that
its value is broken, and `damage` says where the next record begins. `input.decoding` makes one
reject of what lies before that. Only the last record of a part may have to wait for more of the
file.
"""
