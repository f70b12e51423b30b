"""Searches of one customer's images, page by page."""
