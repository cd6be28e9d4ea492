"""The benchmarks: eventsift next to other ways to make the same table; see benchmarks/README.md."""
