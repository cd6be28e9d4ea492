"""What travels through Beam: the keys of events, while their payloads travel through storage.

`versions` (what decides which version is the latest), `delivery_keys` (what a delivery has, to find
the rows of the table that compete with it), `weights` (how much each destination has),
`partitions` (where an event belongs), `ties`.
"""
