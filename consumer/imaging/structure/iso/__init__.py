"""ISO base media files: boxes, items and tracks, and the formats in them, AVIF and HEIC."""
