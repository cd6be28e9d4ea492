"""The apparatus of tests and benchmarks: gets real engines and stores, starts and stops them."""
