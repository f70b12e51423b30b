"""The worker: receives messages and runs the pipeline."""
