"""Generated documents, and search queries for them."""
