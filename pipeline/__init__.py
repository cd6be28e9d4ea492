"""eventsift: deduplicates JSON events into a Delta table, with Apache Beam.

From the front door to the ground: `cli` and `start`; `command`, `verify`, `compact` (what a person
types); `flow` (the graph on one screen); `graph` (all that wires Beam); `steps` (the boxes of the
graph); `bookkeeping`, `rows`, `table`, `input`, `framing`, `keys` (what the steps are made of);
`storage`. No package imports one above it. Worker processes import only the modules they need.
"""

__version__ = "0.1.0"
