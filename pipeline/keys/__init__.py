"""What travels through Beam: the keys of events, while their payloads travel through storage.

`versions` (what decides who is the latest), `seen` (what a delivery has, for the search in the
table), `partitions` (where an event belongs), `sorting` (ties).
"""
