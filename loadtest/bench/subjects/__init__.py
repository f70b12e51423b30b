"""The programs that benchmarks compare."""
