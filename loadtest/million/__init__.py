"""A load test of the whole path, and a verification that nothing was lost or duplicated."""
