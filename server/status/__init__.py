"""GetStatus and GetImage: reads and the cache of completed requests."""
