"""Finds the location in blocks of metadata, whatever file they are in: EXIF, XMP, IPTC, content credentials."""
