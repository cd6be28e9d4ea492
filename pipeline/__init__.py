"""eventsift: deduplicate JSON events into a Delta table with Apache Beam."""
