"""Makes deliveries of event files to develop, test and measure the pipeline with.

    python -m generator --events 1000000 --output events/ --files 8 --seed 1

The modules, in the order in which an event passes through them:

=========  ===================================================================
options    what may be asked for, and what is refused
draws      chance as arithmetic: a draw depends on the seed and a number only
versions   which event ids are new, repeated or broken, and how
words      the vocabularies, taken from Faker once
kinds      domains and event types, and what their payloads look like
documents  versions as JSON texts
faults     the ways in which a line can be broken
files      delivery: framing, compression, file names
=========  ===================================================================

Nothing is remembered from event to event. Whatever concerns event id number ``n`` is computed from
the seed and ``n``, so a copy of an event delivered millions of lines ago can be made again without
having been kept, and memory does not grow with the number of events.

The same seed and options give the same bytes on any machine, for one version of Faker (its word
lists are what an upgrade may change) and, when compressed, of the compression library.
"""
