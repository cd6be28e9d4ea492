"""What travels through Beam: the keys of events, while their payloads travel through storage.

- `versions`: an event's keys, which decide which version is the latest
- `delivery_keys`: all keys of a delivery, to find the rows of the table that compete
- `weights`: how many bytes each destination has, by which large ones are cut
- `partitions`: which destination an event belongs to, and the folder of that
- `ties`: rows whose keys are equal
"""
