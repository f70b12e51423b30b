"""The load generator of the submit benchmarks."""
