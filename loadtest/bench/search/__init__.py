"""A million images that never were, and what is asked about them."""
