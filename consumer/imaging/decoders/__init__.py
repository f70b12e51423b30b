"""Decoders of the formats for which Pillow alone gives a wrong verdict or takes too much memory."""
