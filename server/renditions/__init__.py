"""CreateRenditions: asks for renditions of a published image."""
