"""Requests, images, messages and origin URLs. Pure: no I/O."""
