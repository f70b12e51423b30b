"""Decodes images in processes that have no privileges, no files and no network."""
