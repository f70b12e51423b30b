"""Benchmarks: each is a ratio in one run. `python -m loadtest.bench` lists them.

catalogue           all of them; `suite` runs them, `goals` says what each figure must reach
benchmarks/         what is measured
contestants/        programs that are set against each other; img2dataset/ is one that others made
system/             AWS, servers and consumers as processes; null_aws/ is an AWS that does nothing
load/               what drives the servers; photographs/ is what the consumers fetch
results/            files and the table
"""
