"""What travels through storage: the rows of events, while their keys travel through Beam.

`staging` (where rows wait for whoever writes them), `live_rows` (reading rows of the table, whoever
wrote them), `parquet` (writing rows to new data files); `batches` gathers what one call takes.
"""
