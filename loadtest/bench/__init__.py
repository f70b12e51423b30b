"""Benchmarks: each is a ratio in one run. `python -m loadtest.bench` lists them."""
