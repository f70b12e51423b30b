"""A load test that reads every list page by page while more is submitted, and a verification of the listed entries."""
