"""What runs while something is measured: AWS, servers and consumers as processes, and their metrics."""
