"""The load of the submit benchmarks."""
