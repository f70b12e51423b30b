"""The benchmarks: each module measures one subject and declares its Benchmark objects."""
