"""What is in `data`: for every type of events its fields, their JSON types, values and times.

`nodes` (what is kept of a field, and how much of it), `observe` (payloads to a catalogue),
`merging` (two catalogues to one), `sample` (which events of a block are looked at), `changes` (what
is new, gone, or of another type), `schema` (JSON Schema).

Everything here is a pure function. A catalogue is a summary that can be merged:
``merge(observe(A), observe(B)) == observe(A + B)``, in any order and any grouping. So it does not
matter which worker has looked at which events.

It is bounded, whatever the payloads are, and merging stays exact, because what is kept is chosen
by an order that does not depend on the data: of the paths of a type the first `PATHS_LIMIT` (see
`nodes.rank`), of the texts of a field the first `EXAMPLES_LIMIT` by their hashes, of the types the
first `TYPES_LIMIT` by their names. A path that is among the first of A and B together was among
the first of A, and of B, wherever it was: nothing of it has been missed. What is left out leaves a
flag behind.
"""
