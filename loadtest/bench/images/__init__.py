"""JPEG images of given sizes, and an origin that serves them."""
