"""What travels through storage: the rows of events, while their keys travel through Beam.

- `staging`: where rows wait for whoever writes them
- `live_rows`: reading rows of the table, whoever wrote them
- `content`: rows in memory, and their order
- `merging`: many rows put in order without all of them in memory
- `encoding`: how a data file is encoded
- `parquet`: writing rows to new data files
- `batches`: what is done in one go
"""
