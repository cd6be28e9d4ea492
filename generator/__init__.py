"""Makes deliveries of event files to develop, test and measure the pipeline with.

    python -m generator --events 1000000 --output events/ --files 8 --seed 1

The modules, in the order in which an event passes through them:

=========  ===================================================================
presets    deliveries that have a name
options    which deliveries can be asked for, and what is refused
draws      chance as arithmetic: a draw depends on the seed and a number only
versions   which event ids are new, repeated or broken, and how
lives      entities, and how their status changes
words      the vocabularies, taken from Faker once
kinds      domains and event types, and what their payloads look like
documents  events as JSON texts
layout     JSON texts over several lines
faults     the ways in which an event can be broken
answers    what must become of the events
files      delivery: framing, compression, file names
=========  ===================================================================

Nothing is remembered from event to event. Everything about event id number ``n`` is computed from
the seed and ``n``. So a copy of an event that was written millions of lines ago can be made without
having been kept, and memory does not grow with the number of events.

The same seed and options give the same bytes on any machine, for one version of Faker (an upgrade
may change its word lists) and, if compressed, of the compression library.
"""
