"""Benchmarks: each compares two programs in one run. `python -m loadtest.bench` lists them.

benchmarks/     the measurements; `thresholds` holds limit and target of each figure
subjects/       the programs that are compared with ours
system/         servers, consumers, AWS, Redis and OpenSearch as processes; null_aws/ is the AWS stub
load/           the load generator; images/ and search/ are generated data
results         result files and the table of docs/performance.md
"""
